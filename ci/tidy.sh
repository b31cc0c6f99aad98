#!/usr/bin/env bash
# Proves what no compiler checks: `unsafe` stands only in files that announce it, no file holds two
# concepts' worth of lines, nothing is left unfinished, no test is switched off, nothing names a
# place that exists on one machine only, Cargo.lock is up to date, and `.ci/run` knows every gate.
source "$(dirname "$0")/lib.bash"

mapfile -t all < <(files)
mapfile -t rust < <(files '*.rs')
mapfile -t scripts < <(files .ci/run 'ci/*')
mapfile -t prose_and_code < <(files ':!Cargo.lock' ':!*/Cargo.lock')

# forbid WHAT PATTERN FILE...: fails, and shows where, if the extended pattern is in any file.
forbid() {
    local what=$1 pattern=$2 found
    shift 2
    [ $# -gt 0 ] || return 0
    found=$(grep -nHIE -e "$pattern" -- "$@") || return 0
    printf '%s\n' "$found"
    fail "$what"
}

step "unsafe code is announced"
for file in "${rust[@]}"; do
    # Tests and benchmarks from outside are programs of their own: their unsafe code is not shipped.
    case "$file" in runtime/tests/* | benches/*) continue ;; esac
    sed 's|//.*||' "$file" | grep -qE '\bunsafe *(\{|fn|impl|trait|extern)|#!?\[unsafe\(' || continue
    tr -s ' \n' '  ' <"$file" | grep -qE '#!\[expect\( ?unsafe_code, reason = ' ||
        fail "$file holds unsafe code without \`#![expect(unsafe_code, reason = \"...\")]\`"
done
forbid "unsafe code is expected with a reason, never allowed" 'allow\(unsafe_code' "${rust[@]}"
for root in src/lib.rs net/src/lib.rs fs/src/lib.rs; do
    grep -q '^#!\[forbid(unsafe_code)\]' "$root" || fail "$root does not forbid unsafe code"
done

step "thread-locals are held in one file"
mapfile -t library < <(files 'runtime/src/*.rs' 'net/src/*.rs' 'fs/src/*.rs' 'src/*.rs')
for file in "${library[@]}"; do
    case "$file" in runtime/src/context.rs | *tests.rs) continue ;; esac
    forbid "a thread-local outside context.rs: its address must not live across a switch" \
        '^[^/]*\bthread_local!' "$file"
done

step "no file has more than 600 lines"
for file in "${prose_and_code[@]}"; do
    lines=$(wc -l <"$file")
    [ "$lines" -le 600 ] || fail "$file has $lines lines: which two concepts does it hold?"
done

step "no line of code has more than 100 columns"
forbid "rustfmt wraps code, and leaves comments and texts" '^.{101,}' "${rust[@]}"

step "nothing is unfinished or switched off"
forbid "a note to do something later" '\b(TOD[O]|FIXM[E]|XX[X])\b' "${all[@]}"
forbid "code to be written later" '\b(tod[o]|unimplemente[d])!' "${rust[@]}"
forbid "a test that does not run" '#\[ignor[e]' "${rust[@]}"

step "no machine's paths, no registry but the default one"
forbid "a path of one machine" '(^|[^[:alnum:]_.])/(tmp|root|home|mnt|srv)/[[:alnum:]]' "${all[@]}"
forbid "a registry's host" 'crates[.]io' "${prose_and_code[@]}"
mapfile -t locks < <(files Cargo.lock '*/Cargo.lock')
for lock in "${locks[@]}"; do
    ! grep '^source = ' "$lock" | grep -v '^source = "registry+https://github.com/rust-lang/' ||
        fail "$lock takes a package from elsewhere than the default registry"
done

step "Cargo.lock is up to date"
cargo metadata --locked --format-version 1 >/dev/null || fail "Cargo.lock"

step "the gates are scripts that run knows"
for script in "${scripts[@]}"; do
    bash -n "$script" || fail "$script"
    case "$script" in *.sh | .ci/run) [ -x "$script" ] || fail "$script is not executable" ;; esac
    case "$script" in
        ci/*.sh) grep -qw -- "$(basename "$script" .sh)" .ci/run || fail ".ci/run leaves out $script" ;;
    esac
done
exit "$failures"
