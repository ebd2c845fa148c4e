#!/usr/bin/env bash
# Prints the size of the agent inside the last release build, as it lies on a host and as it crosses SSH.
set -euo pipefail
cd "$(dirname "$0")/.."
# of several builds, the newest
gz="$(find target/release/build -path '*/out/agent.gz' -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d' ' -f2)"
raw="$(gzip -dc "$gz" | wc -c)" sent="$(wc -c <"$gz")"
awk -v r="$raw" -v s="$sent" 'BEGIN {
  printf "agent: %d bytes, %.2f MiB (goal 5); gzipped %d bytes, %.2f MiB (goal 2.2)\n", r, r / 1048576, s, s / 1048576 }'
