#!/usr/bin/env bash
# Prints the agent's resident memory per held idle WebSocket, plain and TLS: the agent's own flow, in release, against a
# server in another process. Must not: gate anything, or end a process that it did not start.
# benches/held.sh [CONNECTIONS] [ROUNDS]; each process needs as many file descriptors as connections.
set -euo pipefail
cd "$(dirname "$0")/.."
# ports below the range that connections take theirs from
count="${1:-10000}" rounds="${2:-3}" port="${PORT:-18472}"
# the clients are opened in three seconds when the machine keeps up; handshakes of TLS take longer
plain_seconds=6 tls_seconds=18

folder="$(mktemp -d)"
server=
end() {
  if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; fi
  server=
}
trap 'end; rm -rf "$folder"' EXIT
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
  -keyout "$folder/key.pem" -out "$folder/certificate.pem" 2>/dev/null

cargo build --release --quiet -p swarm-agent --example held_memory
program=target/release/examples/held_memory
median() { sort -n | awk '{ v[NR] = $1 } END { print (NR % 2) ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

# way, seconds, goal, arguments of the server
measure() {
  local way="$1" seconds="$2" goal="$3" line
  shift 3
  for round in $(seq "$rounds"); do
    "$program" serve "$port" "$@" &
    server=$!
    sleep 0.5
    line="$(timeout 120 "$program" hold "$port" "$count" "$way" "$seconds" | sed -n 1p)"
    end
    echo "$way round $round: $line"
    case "$line" in *" open $count: "*) ;; *) echo "not all of $count were held" >&2; return 1 ;; esac
    awk '{ print $(NF - 2) }' <<<"$line" >>"$folder/$way"
    port=$((port + 1))
  done
  echo "$way: median $(median <"$folder/$way") KiB per held connection (goal $goal)"
}
measure ws "$plain_seconds" 8
measure wss "$tls_seconds" 20 "$folder/certificate.pem" "$folder/key.pem"
