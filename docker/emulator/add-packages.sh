#!/bin/sh
# add-packages.sh PYTHON REQUIREMENTS LAYER: install the packages of a recipe, and write what came
# in as a tree below LAYER, to be laid over the image.
#
# What the image has stays as it is: its versions are constraints. Only wheels are taken, so that
# no package's own code runs while there is a network.
set -eu
python=$1
requirements=$2
layer=$3
place=/opt/hefsmith/added
wheels=/build/wheels
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
if [ -f "$wheels/pip.conf" ]; then
    export PIP_CONFIG_FILE="$wheels/pip.conf"
fi
index=
if [ -f "$wheels/offline" ]; then
    index=--no-index
fi
pins=/build/pins.txt
"$python" -m pip freeze --all | grep '==' >"$pins"

install() {
    "$python" -m pip install $index --find-links "$wheels" --only-binary :all: \
        --constraint "$pins" --prefix "$place" --no-warn-script-location "$@"
}
install -r "$requirements"
set -- "$place"/lib*/python*/site-packages
site=$1
# Plain OpenCV wants a desktop's libraries, which a container lacks; the headless build of the
# same version has the same modules.
opencv=$(find "$site" -maxdepth 1 -name 'opencv_python-*.dist-info' -o \
    -maxdepth 1 -name 'opencv_contrib_python-*.dist-info' | head -n 1)
if [ -n "$opencv" ] && ! PYTHONPATH="$site" "$python" -c 'import cv2' 2>/dev/null; then
    named=$(basename "$opencv" .dist-info)
    project=$(printf '%s' "${named%-*}" | tr _ -)
    rm -rf "$site/cv2" "$site"/opencv_*.libs
    install --no-deps --force-reinstall "$project-headless==${named##*-}"
fi
own=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
mkdir -p "$layer$place" "$layer$own"
cp -a "$place/." "$layer$place/"
printf '%s\n' "$site" >"$layer$own/hefsmith-added.pth"
chmod -R a+rX "$layer"
