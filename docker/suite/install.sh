#!/bin/sh
# install.sh VENV: make VENV and install the user's wheels of /build/wheels into it.
#
# What the wheels depend on comes from /build/wheels too if it is there, else from an index.
# HEFSMITH_OFFLINE=1 allows no index at all. /build/wheels/pip.conf, when there, carries the
# index and the CA file of the host's own pip.
set -eu
venv=$1
wheels=/build/wheels
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
if [ -f "$wheels/pip.conf" ]; then
    export PIP_CONFIG_FILE="$wheels/pip.conf"
fi

python3 -m venv "$venv"
# The compiler draws graphs with pygraphviz, which is compiled here; GCC 14 and newer refuse its
# pointer types. Nothing else needs a compiler, so a failure is no reason to stop.
if command -v apt-get >/dev/null 2>&1 && [ ! -f "$wheels/offline" ]; then
    if apt-get update >/dev/null 2>&1; then
        DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
            gcc python3-dev libgraphviz-dev >/dev/null 2>&1 || true
    fi
fi
export CFLAGS=-Wno-error=incompatible-pointer-types

index=
if [ -f "$wheels/offline" ]; then
    index=--no-index
fi
# Tells by a wheel's name whether this Python takes it; people download those for all Pythons.
fits() {
    "$venv/bin/python" -c '
import os, sys
from pip._vendor.packaging.tags import sys_tags
from pip._vendor.packaging.utils import parse_wheel_filename
sys.exit(0 if parse_wheel_filename(os.path.basename(sys.argv[1]))[3] & set(sys_tags()) else 1)
' "$1"
}
set --
for wheel in "$wheels"/hailo_dataflow_compiler-*.whl "$wheels"/hailo_model_zoo-*.whl \
    "$wheels"/hailort-*.whl; do
    if [ ! -f "$wheel" ]; then
        continue
    elif fits "$wheel"; then
        set -- "$@" "$wheel"
    else
        case $wheel in
            */hailort-*) echo "left out: ${wheel##*/} is for another Python" ;;
            *)
                echo "${wheel##*/} is for another Python than this image's:" \
                    "$("$venv/bin/python" -V). Name a base image with the right one:" \
                    "HEFSMITH_BASE_IMAGE" >&2
                exit 1
                ;;
        esac
    fi
done
"$venv/bin/pip" install $index --find-links "$wheels" "$@"
# Anyone may run it: builds run as the user who called hef, not as `hailo`.
chmod -R a+rX /local/workspace
