#!/usr/bin/env bash
# Prints, from seven runs in the lab, the median start skew of four hosts as the bridge saw their first SYNs, and the
# median time from the start of a warm `swarm attack` to its first SYN: on equal paths and on paths of 5, 20, 50, 80 ms.
# Needs root and tests/setup. Must not: gate anything, or start while another lab runs (it waits five minutes for that).
# benches/skew.sh [RUNS]
set -euo pipefail
cd "$(dirname "$0")/.."
runs="${1:-7}"
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT

cargo test --release --test lab --no-run --quiet
for run in $(seq "$runs"); do
  if [ -e /run/swarm-lab.lock ]; then
    flock -w 300 /run/swarm-lab.lock true || { echo "another lab has been running for five minutes" >&2; exit 1; }
  fi
  # the filter takes both `equal_paths` and `unequal_paths`, each of them warms the hosts' agents first
  timeout 180 cargo test --release --quiet --test lab -- equal_paths_start_together >"$folder/$run" 2>&1 \
    || { cat "$folder/$run" >&2; exit 1; }
  # the order of the cases is the lab's: equal paths first
  grep -oE 'first hit [0-9.]+|seen from outside: [0-9.]+' "$folder/$run" \
    | awk '/first hit/ { hit[++h] = $NF } /outside/ { skew[++s] = $NF }
      END { if (h != 2 || s != 2) exit 1; print hit[1], skew[1], hit[2], skew[2] }' | tee -a "$folder/all" \
    | awk -v n="$run" '{ printf "run %d: equal paths: first hit %s ms, skew %s ms; unequal: first hit %s ms, skew %s ms\n", n, $1, $2, $3, $4 }'
done
median() { cut -d' ' -f"$1" "$folder/all" | sort -n | awk '{ v[NR] = $1 } END { print (NR % 2) ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
echo "median start skew: equal paths $(median 2) ms, unequal paths $(median 4) ms (goal 5 ms)"
echo "median first hit: equal paths $(median 1) ms, unequal paths $(median 3) ms after the command started (goal 2000 ms)"
