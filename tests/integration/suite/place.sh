#!/bin/sh
# Put the emulator where the vendor's image has its compiler, and take the traces away.
set -eu
PATH=$PATH:/usr/sbin:/sbin
groupadd -g 10600 ht
useradd -m -u 10642 -g ht -s /bin/bash hailo

venv=/local/workspace/hailo_virtualenv
mkdir -p /local/workspace/tappas /local/workspace/hailo_model_zoo /local/lib
old=$(/opt/venv/bin/python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
python3 -m venv --without-pip "$venv"
site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
mv /opt/hefsmith/docker/emulator/packages /local/lib/dfc
mv /opt/hefsmith/orchestrator /local/lib/dfc/orchestrator
mv /opt/hefsmith/docker/worker/hefsmith_worker /local/lib/dfc/hefsmith_worker
# The libraries stay where they are: moving a gigabyte would write it into a layer again.
rm -rf /opt/venv/bin /opt/hefsmith
printf '%s\n' "$old" /local/lib/dfc "import site_trap" >"$site/suite.pth"
cp /build/site.py "$site/site_trap.py"

distribution() {
    mkdir -p "$site/$1-$3.dist-info"
    printf 'Metadata-Version: 2.1\nName: %s\nVersion: %s\n' "$2" "$3" \
        >"$site/$1-$3.dist-info/METADATA"
}
distribution hailo_dataflow_compiler hailo-dataflow-compiler 3.33.0
distribution hailo_model_zoo hailo-model-zoo 2.17.0
distribution hailort hailort 4.23.0
mkdir -p /local/workspace/hailo_model_zoo/hailo_model_zoo
mv /build/cfg /local/workspace/hailo_model_zoo/hailo_model_zoo/cfg
: >/local/workspace/hailo_model_zoo/hailo_model_zoo/__init__.py
echo /local/workspace/hailo_model_zoo >>"$site/suite.pth"
chown -R hailo:ht /local/workspace
chmod -R a+rX /local
rm -rf /build
