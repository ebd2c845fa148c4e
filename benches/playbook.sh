#!/usr/bin/env bash
# What a playbook costs beside the bare flags: CPU time of the agent's side per message, the same messages to the same
# server in another process, the ways of a round in an order that chance draws. Prints, and gates nothing. Arguments: rounds (7), clients (200),
# ms between two messages of a client (20), seconds a run (5).
set -euo pipefail
cd "$(dirname "$0")/.."
rounds="${1:-7}" clients="${2:-200}" period="${3:-20}" seconds="${4:-5}"
cargo build -q -p swarm-agent --release --features engines --example playbook_cost
cost="${CARGO_TARGET_DIR:-target}/release/examples/playbook_cost"
port="$(shuf -i 20000-30000 -n 1)"
"$cost" serve "$port" &
server="$!"
trap 'kill "$server"' EXIT
sleep 0.5
log="$(mktemp)"
for ((round = 0; round < rounds; round++)); do
  for way in $(shuf -e flags every twenty steps); do
    "$cost" run "$port" "$way" "$clients" "$period" "$seconds" | tee -a "$log"
  done
done
for way in flags every twenty steps; do
  sed -n "s/^\([0-9]*\) ns each $way:.*/\1/p" "$log" | sort -n |
    awk -v way="$way" '{ n[NR] = $1 } END { print way ": median " n[int((NR + 1) / 2)] " ns a message (" n[1] " to " n[NR] ")" }'
done
rm -f "$log"
