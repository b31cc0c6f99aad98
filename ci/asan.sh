#!/usr/bin/env bash
# Proves that the tests touch no memory that is not theirs, as far as AddressSanitizer sees: it is
# told of every stack switch, and every heap access of this code is checked. std itself is not
# instrumented, and races are not its subject.
source "$(dirname "$0")/lib.bash"

own_target asan
host=$(rustc -vV | sed -n 's/^host: //p')

# The sanitizer is not stable yet; this lets the stable compiler accept its flag.
export RUSTC_BOOTSTRAP=1
export RUSTFLAGS="-Zsanitizer=address --cfg sedge_asan ${RUSTFLAGS:-}"

options=(
    # Fake frames are freed by the thread that made them, and do not know about stack switches.
    detect_stack_use_after_return=0
    # The leak check does not scan the stacks of parked tasks, so what only they own seems lost.
    detect_leaks=0
    # The runtime brings its own signal stacks; the sanitizer would unmap them as if they were its.
    use_sigaltstack=0
    # An allocation that cannot be served is an error to the program, as it is without a sanitizer.
    allocator_may_return_null=1
    # Freed memory that is kept back to catch late uses; the default of 256 MiB is much for a CI.
    quarantine_size_mb=64
)
ASAN_OPTIONS=$(IFS=: && printf '%s' "${options[*]}")
export ASAN_OPTIONS

# With --target, build scripts and macros are left alone. Doctests would need the flags again.
test_programs --target "$host" --features sedge-runtime/sanitizer
