# What the gates share. Every gate sources this file first; it is not a gate itself.
# shellcheck shell=bash

set -euo pipefail

# A gate may be started from anywhere; it works at the top of the tree.
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export RUST_BACKTRACE="${RUST_BACKTRACE:-1}"
target_dir="${CARGO_TARGET_DIR:-$PWD/target}"

# own_target NAME: builds of this gate go to a directory of their own, because their compiler
# flags would otherwise rebuild, and be rebuilt by, those of the other gates.
own_target() {
    export CARGO_TARGET_DIR="$target_dir/ci-$1"
}

# step TEXT: says what comes next.
step() {
    printf -- '--- %s\n' "$*"
}

# fail TEXT: notes a failure and goes on. End the gate with `exit "$failures"`.
failures=0
fail() {
    printf 'FAILED: %s\n' "$*" >&2
    # shellcheck disable=SC2034 # the gates read it
    failures=1
}

# test_programs [FLAG...]: builds the examples, which the tests of the whole system start, then runs
# every test but the doctests. (`cargo test` alone builds both; named targets leave examples out.)
# shellcheck disable=SC2120 # not every gate has flags to add
test_programs() {
    cargo build --examples "$@" &&
        cargo test --lib --bins --tests --no-fail-fast "$@"
}

# need COMMAND PACKAGE: installs the Debian package if the command is missing.
need() {
    command -v "$1" >/dev/null && return
    step "installing $2, for $1"
    local as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo)
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "$2"
}

# need_component NAME COMMAND: installs a component of the Rust toolchain if its command is missing.
need_component() {
    cargo "$2" --version >/dev/null 2>&1 || rustup component add "$1"
}

# scratch: makes a directory that is removed when the gate ends, and puts its path in `scratch_dir`.
scratch() {
    scratch_dir=$(mktemp -d)
    trap 'rm -rf "$scratch_dir"' EXIT
}

# files [PATTERN...]: the files of the project, committed or about to be, one a line.
files() {
    git ls-files --cached --others --exclude-standard -- "$@" | sort -u | while IFS= read -r file; do
        if [ -f "$file" ]; then printf '%s\n' "$file"; fi
    done
}
