#!/usr/bin/env bash
# Counts how surely `swarm check` finds each fault of the lab, and how often it raises an alarm at a healthy set-up: all of them,
# ROUNDS times (default 20), in networks of their own. Prints two tables; ends with an error unless all were found and no alarm
# was false (a step that does not pass where it must counts as one). Keeps what failed in target/faults.log. Needs root, and what tests/setup installs.
# Must not: gate anything. benches/faults.sh [ROUNDS]
set -euo pipefail
cd "$(dirname "$0")/.."
rounds="${1:-20}"
[[ "$rounds" =~ ^[1-9][0-9]*$ ]] || { echo "benches/faults.sh: ROUNDS is a number, not $rounds" >&2; exit 2; }
[ "$(id -u)" -eq 0 ] || { echo "benches/faults.sh: it needs root (network namespaces); run it with sudo" >&2; exit 1; }
features=(--no-default-features --features swarm-agent/engines)
cargo test "${features[@]}" --test lab --no-run
lab="$(cargo test "${features[@]}" --test lab --no-run --message-format=json 2>/dev/null |
  sed -n 's/.*"name":"lab".*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)"
[ -x "$lab" ] || { echo "benches/faults.sh: the lab was not built" >&2; exit 1; }

seen="$(mktemp)"
trap 'rm -f "$seen" "$seen".*' EXIT
: >target/faults.log
for ((round = 1; round <= rounds; round++)); do
  # each healthy set-up once a round; a lab that could not be set up, or a case that failed, is counted below
  unshare --net --mount sh -c 'mount -t tmpfs tmpfs /run && ip link set lo up && exec "$@"' sh \
    "$lab" check_ --skip check_real --skip check_mended --skip check_hosts --skip _2 --skip _3 >"$seen.round" 2>"$seen.error" ||
    cat "$seen.round" "$seen.error" >>target/faults.log
  grep '^test check_' "$seen.round" >>"$seen" || true
done

# test check_faults::NAME ... ok      test check_healthy::NAME_1 ... FAILED
awk -v rounds="$rounds" '
  { split($2, path, "::"); name = path[2]; good = ($NF == "ok") }
  path[1] == "check_faults" { if (!(name in faults)) order[++n] = name; faults[name]++; found[name] += good }
  path[1] == "check_healthy" { sub(/_[0-9]+$/, "", name); if (!(name in healthy)) set_up[++m] = name; healthy[name]++; alarms[name] += !good }
  END {
    if (n == 0 || m == 0) { print "no case was run"; exit 1 }
    printf "%-32s %s\n", "fault", "found"
    for (i = 1; i <= n; i++) { name = order[i]; printf "%-32s %d of %d\n", name, found[name], faults[name]; bad += (found[name] < faults[name]) + (faults[name] != rounds) }
    printf "\n%-32s %s\n", "healthy set-up", "false alarms"
    for (i = 1; i <= m; i++) { name = set_up[i]; printf "%-32s %d of %d\n", name, alarms[name], healthy[name]; bad += (alarms[name] > 0) + (healthy[name] != rounds) }
    exit bad > 0
  }' "$seen"
