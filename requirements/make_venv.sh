#!/bin/sh
# Create a virtual environment: make_venv.sh FOLDER [INTERPRETER].
# An environment that already works is kept; one that was cut short is made anew.
set -eu

folder=$1
wanted=${2:-}

fail() {
    echo "!!! $1" >&2
    exit 1
}

is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

if [ -x "$folder/bin/python" ] && is_new_enough "$folder/bin/python" \
    && "$folder/bin/python" -m pip --version >/dev/null 2>&1; then
    exit 0
fi

interpreter=
for candidate in ${wanted:+"$wanted"} python3.11 python3 python3.12 python3.13; do
    if is_new_enough "$candidate"; then
        interpreter=$candidate
        break
    fi
    if [ "$candidate" = "$wanted" ]; then
        fail "PYTHON=$wanted is not a CPython of version 3.11 or newer; name another one"
    fi
done
if [ -z "$interpreter" ]; then
    found=$(python3 --version 2>&1 || true)
    fail "Bellwire needs CPython 3.11 or newer, python3 here is: ${found:-absent}. Install it, or name one: make PYTHON=/path/to/python3.11 …"
fi

echo "==> creating $folder with $("$interpreter" --version 2>&1)"
"$interpreter" -m venv --clear "$folder" \
    || fail "'$interpreter -m venv' failed; on Debian and Ubuntu: apt-get install python3-venv"
