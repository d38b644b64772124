#!/bin/sh
# install.sh VENV REQUIREMENTS: install from /build/wheels when it has wheels, else from an index.
#
# /build/wheels/pip.conf, when there, carries the index and the CA file of the host's own pip.
# Byte code is compiled here: the box has a read-only root, and importing torch without it
# takes three times as long.
set -eu
venv=$1
requirements=$2
wheels=/build/wheels
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
if [ -f "$wheels/pip.conf" ]; then
    export PIP_CONFIG_FILE="$wheels/pip.conf"
fi
if ls "$wheels"/*.whl >/dev/null 2>&1; then
    exec "$venv/bin/pip" install --no-index --find-links "$wheels" -r "$requirements"
fi
exec "$venv/bin/pip" install -r "$requirements"
