#!/usr/bin/env bash
# Proves that what the README shows works as it is shown: the HTTP server answers curl and ends
# cleanly at SIGTERM, and the example with many tasks prints its table.
source "$(dirname "$0")/lib.bash"

need curl curl
cargo build --release --example http --example million
examples="$target_dir/release/examples"
scratch
log="$scratch_dir/http.log"

step "http, on a port that the kernel picks"
"$examples/http" 127.0.0.1:0 >"$log" 2>&1 &
server=$!
trap 'kill -KILL "$server" 2>/dev/null || true; rm -rf "$scratch_dir"' EXIT

# Ten seconds are plenty for a server that starts in milliseconds.
address=
for _ in $(seq 100); do
    address=$(grep -oE '127\.0\.0\.1:[0-9]+' "$log" | head -n 1) && break
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
done
[ -n "$address" ] || {
    cat "$log"
    fail "http printed no address"
    exit 1
}

curl --silent --show-error --include --max-time 10 "http://$address/" | tee "$scratch_dir/answer"
head -n 1 "$scratch_dir/answer" | grep -q '^HTTP/1\.1 200 ' || fail "http did not answer 200"

kill -TERM "$server"
timeout 10 tail --pid="$server" -f /dev/null || fail "http still runs, ten seconds after SIGTERM"
if ! kill -0 "$server" 2>/dev/null; then
    status=0
    wait "$server" || status=$?
    [ "$status" = 0 ] || fail "http ended with status $status at SIGTERM"
fi
cat "$log"

step "million, with 100,000 tasks"
timeout 120 "$examples/million" 100000 | tee "$scratch_dir/table" || fail "million"
grep -qE '100[,_]?000' "$scratch_dir/table" || fail "million does not tell of its 100,000 tasks"
exit "$failures"
