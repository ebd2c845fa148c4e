#!/usr/bin/env bash
# Fuzzes the codecs and the session machine, one target after the other, each for a bounded time and in bounded memory, from
# what the recorded transcripts hold. Prints how many executions each had; ends with an error at the first input that a target fails on,
# which cargo-fuzz keeps in fuzz/artifacts. Works on stable (no sanitizer). Needs: cargo install cargo-fuzz.
# Must not: gate anything. benches/fuzz.sh [SECONDS] [TARGET...]
set -euo pipefail
cd "$(dirname "$0")/.."
seconds="${1:-60}"
shift || true
targets=("$@")
[ "${#targets[@]}" -gt 0 ] || targets=(engineio3 engineio4 socketio websocket session)
cargo fuzz --version >/dev/null 2>&1 || { echo "benches/fuzz.sh: cargo install cargo-fuzz" >&2; exit 1; }
log="$(mktemp)"
trap 'rm -f "$log"' EXIT

# Each payload and frame of the transcripts as a file of its own; what a target can't use it drops by itself.
seed() {
  local folder="fuzz/corpus/$1" n=0 line
  [ ! -d "$folder" ] || return 0
  mkdir -p "$folder"
  sed -nE 's/^[<>] (GET 200|POST polling [^ ]*|WS) text (.*)$/\2/p' agent/tests/transcripts/*/*.txt | sort -u |
    while IFS= read -r line; do
      # the transcripts write control characters and the backslash as \xNN, as printf reads them
      printf '%b' "$line" >"$folder/seed-$((n += 1))"
      # Socket.IO's packets without the type that Engine.IO puts in front
      [ "$1" != socketio ] || printf '%b' "${line#4}" >"$folder/seed-$n-inner"
    done
}

for target in "${targets[@]}"; do
  seed "$target"
  status=0
  cargo fuzz run -s none "$target" -- -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=512 \
    -malloc_limit_mb=64 -print_final_stats=1 >"$log" 2>&1 || status=$?
  if [ "$status" -ne 0 ]; then
    tail -40 "$log" >&2
    exit "$status"
  fi
  awk -v target="$target" '
    /^stat::number_of_executed_units/ { executed = $2 }
    /^stat::peak_rss_mb/ { rss = $2 }
    /^Done / { seconds = $(NF - 1) }
    / cov: / { for (i = 1; i < NF; i++) if ($i == "cov:") cov = $(i + 1) }
    END {
      if (executed == 0) { print target ": nothing was executed"; exit 1 }
      printf "%-10s %d executions in %d s, %d edges seen, %d MiB at most, nothing found\n", target, executed, seconds, cov, rss
    }' "$log"
done
