"""Programs that a remedy may name, as stand-ins that take what the real ones take.

Each is a regular expression over the whole line of arguments, after the program's manual page (and
HailoRT's command line after its public source). A stand-in that is given anything else leaves with
status 2, as the real one does for a usage error, so that a wrong option in a remedy is found.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

WORD = r"[^\s-]\S*"
WORDS = rf"{WORD}(?: {WORD})*"
PACKAGES = (
    r"(?:(?:h10-hailort(?:-pcie-driver|\*)?|hailo-(?:all|h10-all|dkms|tappas-core|models)|hailofw"
    r"|hailort|python3-(?:h10-)?hailort|python3-gi|dkms|(?:linux|proxmox)-headers-[\w.+-]+"
    r"|linux-image-rpi-2712"
    r"|rpicam-apps(?:-hailo-postprocess)?|gstreamer1\.0-[\w-]+|libgl1|libglib2\.0-0|ca-certificates"
    r"|gir1\.2-[\w.-]+|python3-(?:full|tk|picamera2|libcamera|dev)|build-essential|git-lfs"
    r"|docker-(?:compose|buildx)-plugin|passt|slirp4netns|uidmap|fuse-overlayfs|git|cmake|locales"
    r"|meson|ninja-build|libopencv-dev|rapidjson-dev|imx500-all|libcamera-ipa|python3-opencv"
    r"|libxcb-cursor0|python3-gst-1\.0|rpi-eeprom|raspberrypi-(?:kernel(?:-headers)?|bootloader)"
    r"|libopenblas0|libatlas-base-dev|python3-numpy"
    r")(?: |$))+"
)
#: Program -> what it takes.
TAKES: dict[str, str] = {
    "apt": rf"update|full-upgrade|clean|autoremove|--fix-broken install|list --installed {WORD}"
    rf"|(?:install(?: -y| --reinstall| --only-upgrade)?|purge) {PACKAGES}",
    "apt-get": rf"update|(?:install(?: -y)?|purge) {PACKAGES}",
    "apt-cache": rf"(?:policy|show) {PACKAGES}",
    "apt-file": rf"update|search {WORD}",
    "apt-mark": rf"(?:hold|unhold) {PACKAGES}|showhold",
    "ausearch": r"-m avc -ts recent",
    "cat": r"/\S+(?: /\S+)*",
    "chown": rf"(?:-R )?\$?\w+:? {WORD}",
    "chmod": rf"[0-7]{{3,4}} {WORDS}",
    "depmod": "-a",
    "df": r"-h(?: \S+)?|",
    "dkms": r"autoinstall|status|remove [\w.-]+/[\w.-]+ --all",
    "dmesg": r"|-[HTwk]+",
    "docker": (
        rf"ps(?: -a)?|(?:start|logs|stop) {WORD}|network (?:prune|create {WORD})|image ls"
        rf"|login|version|info|system df|buildx create --use|manifest inspect {WORD}"
        rf"|compose (?:config(?: --services)?|up -d|version)|context use {WORD}"
        rf"|cp {WORD}:/\S+ {WORD}|exec {WORD} {WORD}(?: \S+)*"
        rf"|build(?: --build-arg \w+=\S+)* \."
        rf"|run(?: --rm| -it| --entrypoint {WORD}| --device /\S+| -e \w+=\S*"
        rf"| --ulimit \w+=\d+)* {WORDS}"
    ),
    "dpkg": r"-l|--configure -a|--print-architecture",
    "dpkg-reconfigure": WORD,
    "free": r"-[mgh]|",
    "fuser": r"-v /\S+(?: /\S+)*",
    "getent": rf"hosts {WORD}",
    "grep": rf"(?:-[icEvr]+ )*{WORD}(?: /\S+)?|-e {WORD}(?: -e {WORD})*|-rl \S.* [\w/]+"
    rf"|-rn {WORD}(?: /\S+)+",
    "groups": "",
    "gst-inspect-1.0": WORD,
    "hailo": rf"(?:parser onnx|optimize|compiler|profiler) {WORD}(?: --hw-arch hailo\w+"
    rf"| --model-script {WORD}| --calib-set-path {WORD}| --use-random-calib-set)*",
    "hailortcli": (
        r"--version|scan|fw-control identify(?: --extended)?|monitor"
        r"|fw-control reset --reset-type (?:chip|nn_core|soft|forced_soft)"
        rf"|logs(?: runtime| system_control| nnc)?|run2 set-net {WORD}|parse-hef {WORD}"
        rf"|run {WORD}(?: --measure-temp| --batch-size \d+)*"
    ),
    "id": "",
    "ip": r"(?:-(?:[46]|br) )?(?:addr|route|link)",
    "journalctl": rf"-u {WORD}(?: -n \d+)?|(?:-k )?-b(?: -\d+)?(?: -e)?",
    "ldconfig": "",
    "ls": r"-(?:l[dah]*|d)(?: \S+)*|/\S+",
    "lsmod": "",
    "lspci": r"(?:-(?:nnk?|k|vv?) ?)?(?:-d [0-9a-f]{4}:(?:[0-9a-f]{4})?)?",
    "install": rf"(?:-D |-m \d+ )*{WORD} /\S+",
    "make": rf"(?:-C {WORD} |-j\d+ ?)?"
    r"(?:(?:all|install(?:_dkms)?|modules(?:_prepare)?|\w+=\S*) ?)*",
    "mkdir": r"-p /\S+",
    "modprobe": rf"(?:-r )?{WORD}",
    "modinfo": rf"(?:-n )?{WORD}",
    "mokutil": r"--import /\S+|--sb-state",
    "mount": r"/\S+",
    "newgrp": WORD,
    "nvme": r"id-ns -H /dev/nvme\dn1|format --lbaf=\d /dev/nvme\dn1",
    "nvidia-ctk": r"runtime configure --runtime=(?:docker|containerd)|cdi generate --output=/\S+",
    "nvidia-smi": "",
    "ping": rf"(?:-c \d+ )?{WORD}",
    "pip": rf"list|check|show {WORDS}|cache purge|debug --verbose|uninstall (?:-y )?{WORDS}"
    r"|install (?:-e |--upgrade |--force-reinstall |--no-cache-dir |--ignore-installed "
    r"|--only-binary :all: )*"
    rf"(?:\.|{WORDS})",
    "pkg-config": r"--list-all|--modversion \S+|(?:--cflags )?--libs \S+",
    "podman": r"system migrate|machine start|info",
    "ps": rf"-C \w[\w,.-]*|aux|-e[Lf]+|-p {WORD} -o \w+(?:,\w+)*",
    "python": r"--version|-c .+|-m http\.server \d+|-m json\.tool \S+|-m ensurepip --upgrade"
    r"|hailo_model_zoo/datasets/create_\w+\.py \w+"
    r"|-m venv (?:--system-site-packages )?[^-\s]\S*",
    "raspi-config": "",
    "rm": r"-rf? [~/]\S+",
    "rpi-eeprom-config": r"|--edit|-e",
    "rpi-eeprom-update": r"|-a",
    "rpicam-hello": r"--list-cameras|--help|--version|-t \d+",
    "ss": r"-[tlnpuxs]+",
    "ssh": rf"(?:-[vp](?: \d+)? |-i \S+ |-F \S+ |-J \S+ |-o \w+=\S+ )*{WORD}",
    "ssh-copy-id": rf"(?:-p \d+ |-i \S+ |-F \S+ |-o \w+=\S+ )*{WORD}",
    "setenforce": r"[01]",
    "setsebool": r"-P \w+ [01]",
    "ssh-keygen": rf"-A|-lf /\S+|(?:-f \S+ )?-R {WORD}",
    "systemctl": (
        r"(?:--user )?(?:(?:restart|start|stop|status|enable|disable) (?:--now )?[\w@.-]+"
        r"|daemon-reload|list-unit-files)"
    ),
    "sysctl": r"[\w.]+(?:=\d+)?",
    "tail": r"-\d+(?: /\S+)*",
    "timedatectl": r"|set-ntp (?:true|false)",
    "ubuntu-drivers": "install|list|devices",
    "udevadm": r"control --reload-rules|trigger",
    "uname": r"-[rma]",
    "update-initramfs": r"-u(?: -k all)?",
    "update-pciids": r"(?:-q)?",
    "usermod": r"-aG [\w,]+ \w+|--add-subuids \d+-\d+ --add-subgids \d+-\d+ \w+",
    "v4l2-ctl": r"--list-devices|--list-formats-ext(?: -d /dev/video\d+)?",
    "vclog": r"--(?:msg|assert)|-[ma]",
    "vcgencmd": r"get_throttled|measure_temp",
    "wc": "-l",
    "which": WORD,
    "wsl": r"--update|--shutdown|-l -v|--set-version \w\S* [12]|--set-default-version [12]",
}
TAKES["python3"] = TAKES["python"]

_STAND_IN = """#!{python} -I
import re, sys
line = " ".join(sys.argv[1:])
sys.exit(0 if re.fullmatch({takes!r}, line) else 2)
"""
#: sudo runs what follows it.
_SUDO = '#!/bin/sh\nexec "$@"\n'


def write(folder: Path) -> Path:
    """Write the stand-ins to ``folder`` and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, takes in TAKES.items():
        text = _STAND_IN.format(python=sys.executable, takes=f"(?:{takes})")
        _program(folder / name, text)
    _program(folder / "sudo", _SUDO)
    _program(folder / "uname", "#!/bin/sh\necho 6.12.47+rpt-rpi-2712\n")
    return folder


def _program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)
    assert os.access(path, os.X_OK)
