#!/bin/sh
# install-export.sh VENV REQUIREMENTS: make VENV with CPU torch; from /build/wheels where it has
# wheels for this Python, else from an index.
set -eu
venv=$1
requirements=$2
wheels=/build/wheels
# The variables of the suite's own environment would lead this one astray.
unset PYTHONPATH PYTHONHOME VIRTUAL_ENV
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore HOME=/tmp
if [ -f "$wheels/pip.conf" ]; then
    export PIP_CONFIG_FILE="$wheels/pip.conf"
fi
# Not from the suite's own environment: `python3` there is the one with the compiler.
python=/usr/bin/python3
[ -x "$python" ] || python=python3
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        python3-venv
fi
"$python" -m venv "$venv"
index=
if [ -f "$wheels/offline" ]; then
    index=--no-index
fi
"$venv/bin/pip" install $index --find-links "$wheels" -r "$requirements"
chmod -R a+rX "$venv"
