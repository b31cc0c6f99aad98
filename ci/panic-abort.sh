#!/usr/bin/env bash
# Proves what is promised under `panic = "abort"`: tasks run and talk over sockets, operations that
# are cancelled or late return errors, `run` returns and abandons those that still wait, without
# destructors, a runtime without tasks leaves nothing behind, and a panic ends the process and names
# its task. The test harness unwinds, so this is a program of its own.
source "$(dirname "$0")/lib.bash"

own_target panic-abort
cargo build --package sedge-net --example panic-abort --config 'profile.dev.panic="abort"'
program="$CARGO_TARGET_DIR/debug/examples/panic-abort"
scratch

step "tasks that wait are abandoned when run returns"
status=0
timeout 120 "$program" >"$scratch_dir/out" 2>"$scratch_dir/err" || status=$?
cat "$scratch_dir/out" "$scratch_dir/err"
[ "$status" = 0 ] || fail "it ended with status $status"
grep -qx '100 runtimes: threads and mappings have levelled off' "$scratch_dir/out" ||
    fail "a runtime without tasks left something behind"
grep -qx 'what is cancelled or late returns an error' "$scratch_dir/out" ||
    fail "an operation was not refused"
grep -qx 'abandoned 300 of 300' "$scratch_dir/out" || fail "it did not abandon what waits"
grep -qx 'started 900, dropped 0' "$scratch_dir/out" || fail "a destructor ran, or a task did not"
[ ! -s "$scratch_dir/err" ] || fail "it complained"

step "a panic ends the process"
status=0
(ulimit -c 0 && timeout 120 "$program" panic || exit $?) 2>"$scratch_dir/err" || status=$?
# 128 and SIGABRT.
[ "$status" = 134 ] || fail "it ended with status $status"
grep -q "in task 'doomed'" "$scratch_dir/err" || {
    cat "$scratch_dir/err"
    fail "the message does not name the task"
}
exit "$failures"
