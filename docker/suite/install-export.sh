#!/bin/sh
# install-export.sh VENV REQUIREMENTS: make VENV with CPU torch; from /build/wheels when it has
# wheels, else from an index.
set -eu
venv=$1
requirements=$2
wheels=/build/wheels
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
if [ -f "$wheels/pip.conf" ]; then
    export PIP_CONFIG_FILE="$wheels/pip.conf"
fi
# Not from the suite's own environment: `python3` there is the one with the compiler.
python=/usr/bin/python3
[ -x "$python" ] || python=python3
"$python" -m venv "$venv"
index=
if [ -f "$wheels/offline" ]; then
    index=--no-index
fi
"$venv/bin/pip" install $index --find-links "$wheels" -r "$requirements"
chmod -R a+rX "$venv"
