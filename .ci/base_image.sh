#!/bin/sh
# Make the image `debian:bookworm-slim` on a machine that cannot pull it.
#
# The root file system comes from this machine's own apt sources (debootstrap, minbase, plus
# Python) and is kept, compressed, under .ci/cache, so that only the first run pays for it.
# Does nothing when the engine has the image. Needs root, debootstrap and zstd.
#
#   .ci/base_image.sh [IMAGE]        another name for the image; DOCKER picks the client
set -eu

image=${1:-debian:bookworm-slim}
docker=${DOCKER:-docker}
suite=bookworm
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
cache=${HEFSMITH_CI_CACHE:-$here/cache}
tar=$cache/base-$suite.tar.zst

if "$docker" image inspect "$image" >/dev/null 2>&1; then
    echo "base image: $image is there"
    exit 0
fi

mkdir -p "$cache"
if ! zstd -tq "$tar" 2>/dev/null; then
    mirror=$(apt-get indextargets --format '$(REPO_URI)' \
        'Created-By: Packages' "Codename: $suite" 'Component: main' | head -n 1)
    if [ -z "$mirror" ]; then
        echo "base image: apt has no source for $suite; run apt-get update first" >&2
        exit 1
    fi
    work=$(mktemp -d "${TMPDIR:-/tmp}/hefsmith-base.XXXXXX")
    trap 'rm -rf "$work"' EXIT INT TERM
    root=$work/root
    debootstrap --variant=minbase --include=ca-certificates,python3-venv \
        "$suite" "$root" "$mirror" >"$work/log" 2>&1 || { tail -n 30 "$work/log" >&2; exit 1; }
    rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/* \
        "$root"/usr/share/doc/* "$root"/usr/share/man/* "$root"/usr/share/locale/*
    rm -f "$root/etc/hostname" "$root/etc/resolv.conf"
    tar --numeric-owner --one-file-system -C "$root" -cf - . | zstd -q -T0 -3 -o "$tar.part" -f
    mv -f "$tar.part" "$tar"
fi

zstd -dcq "$tar" | "$docker" import \
    --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
    --change 'CMD ["bash"]' - "$image" >/dev/null
# Dockerfiles name a dated base; here this one stands for it.
pinned=$(sed -n 's/^ARG BASE=//p' "$here/../docker/emulator/Dockerfile")
[ -z "$pinned" ] || "$docker" tag "$image" "$pinned"
echo "base image: $image made from $tar"
