#!/usr/bin/env bash
# Proves that the tests pass with optimisations, where the compiler inlines across waits and keeps
# what it may in registers: once with a worker for each CPU, once on a single worker, and those of
# thread-locals once more with link-time optimisation.
# Doctests are left to the debug build.
source "$(dirname "$0")/lib.bash"

step "release, a worker for each CPU"
(unset SEDGE_WORKERS && test_programs --release) || fail "release tests on a worker for each CPU"
step "release, SEDGE_WORKERS=1"
SEDGE_WORKERS=1 test_programs --release || fail "release tests on one worker"

# All of the program is one unit to the compiler here: it may inline whatever it likes across a wait.
step "release, optimised as a whole: thread-locals before and after a wait"
own_target lto
export CARGO_PROFILE_RELEASE_LTO=fat CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1
cargo test --release --package sedge-runtime --test it -- canaries:: migration:: unwinding:: ||
    fail "release tests, optimised as a whole"
exit "$failures"
