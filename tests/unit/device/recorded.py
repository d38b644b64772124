"""Raw facts as a Pi gives them, for each HailoRT: outputs as users print them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from orchestrator.device.replies import Facts, read_reply

VERSIONS_4 = ("4.17.0", "4.18.0", "4.19.0", "4.20.0", "4.21.0", "4.22.0", "4.23.0", "4.24.0")
VERSIONS_5 = ("5.0.0", "5.1.0", "5.1.1", "5.2.0")

MEMINFO = "MemTotal:        8255696 kB\nMemFree:          633920 kB\nMemAvailable:    6929856 kB"
BOOKWORM = (
    'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\n'
    'VERSION_ID="12"\nVERSION_CODENAME=bookworm\nID=debian'
)
TRIXIE = BOOKWORM.replace("12", "13").replace("bookworm", "trixie")

IDENTIFY_8L = """\
Executing on device: 0000:01:00.0
Identifying board
Control Protocol Version: 2
Firmware Version: {version} (release,app,extended context switch buffer)
Logger Version: 0
Board Name: Hailo-8
Device Architecture: HAILO8L
Serial Number: HLDDLBB241601754
Part Number: HM21LB1C2LAE
Product Name: HAILO-8L AI ACC M.2 B+M KEY MODULE EXT TMP

"""
#: A HAT+ shows no numbers of its own.
IDENTIFY_HAT = """\
Executing on device: 0000:01:00.0
Identifying board
Control Protocol Version: 2
Firmware Version: {version} (release,app,extended context switch buffer)
Logger Version: 0
Board Name: Hailo-8
Device Architecture: HAILO8
Serial Number: <N/A>
Part Number: <N/A>
Product Name: <N/A>

"""
IDENTIFY_10H = """\
Executing on device: 0001:01:00.0
Identifying board
Control Protocol Version: 2
Firmware Version: {version} (release,app)
Logger Version: 0
Device Architecture: HAILO10H

"""
NO_CLASS = (
    "[HailoRT] [error] Can't find hailort driver class. Can happen if the driver is not installed,"
    " if the kernel was updated or on some driver failure (then read driver dmesg log)\n"
    "[HailoRT] [error] CHECK_SUCCESS failed with status=HAILO_DRIVER_NOT_INSTALLED(64)\n"
    "[HailoRT CLI] [error] CHECK_SUCCESS failed with status=HAILO_DRIVER_NOT_INSTALLED(64)\n"
)
MISMATCH = (
    "[HailoRT] [error] CHECK failed - Driver version ({driver}) is different from library version"
    " ({library})\n"
    "[HailoRT] [error] CHECK_SUCCESS failed with status=HAILO_INVALID_DRIVER_VERSION(76) - Driver"
    " version mismatch, status HAILO_INVALID_DRIVER_VERSION(76)\n"
)


def output(out: str = "", err: str = "", code: int = 0) -> dict[str, Any]:
    return {"code": code, "out": out, "err": err}


def binding(**found: object) -> dict[str, Any]:
    return output(json.dumps({"python": "3.11.2", "numpy": "1.24.2", **found}) + "\n")


def facts(version: str = "4.20.0", **changes: Any) -> Facts:
    """Return the facts of a healthy Pi 5 with this HailoRT; ``changes`` replace whole keys.

    ``commands`` and ``files`` are merged; a command that is ``None`` is not installed.
    """
    new_line = version.startswith("5.")
    module = "hailo1x_pci" if version >= "5.1" and new_line else "hailo_pci"
    identify = IDENTIFY_10H if new_line else IDENTIFY_8L
    prefix = "h10-" if new_line else ""
    raw: dict[str, Any] = {
        "schema": 1,
        "level": "deep",
        "time": 1_700_000_000.0,
        "hostname": "raspberrypi",
        "machine": "aarch64",
        "kernel": "6.6.51+rpt-rpi-2712",
        "system": "Linux",
        "home": "/home/pi",
        "page_size": 4096,
        "disk": {"free": 21_000_000_000, "total": 62_000_000_000},
        "commands": {
            "version": output(f"HailoRT-CLI version {version}\n"),
            "identify": output(identify.format(version=version)),
            "scan": output("Hailo Devices:\n[-] Device: 0000:01:00.0\n"),
            f"modinfo_{module}": output(f"{version}\n"),
            "packages": output(
                f"{prefix}hailort {version} ii \npython3-{prefix}hailort {version}-1 ii \n"
                f"hailo-dkms {version}-1 ii \nhailofw {version}-2 un \n"
            ),
            "throttled": output("throttled=0x0\n"),
            "temperature": output("temp=52.1'C\n"),
            "binding": binding(binding=version, emulated=False),
        },
        "files": {
            "/etc/os-release": TRIXIE if new_line or version >= "4.23" else BOOKWORM,
            "/proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0",
            "/proc/meminfo": MEMINFO,
            "/proc/modules": f"{module} 151552 0 - Live 0x0\nbrcmfmac 360448 0 - Live 0x0",
            f"/sys/module/{module}/version": version,
        },
        "pci": [
            {
                "address": "0000:01:00.0",
                "device": "0x45c4" if new_line else "0x2864",
                "current_link_speed": "8.0 GT/s PCIe",
                "current_link_width": "1",
                "max_link_speed": "8.0 GT/s PCIe",
                "max_link_width": "4",
                "driver": "hailo",
            }
        ],
        "nodes": [{"path": "/dev/hailo0", "is_device": True, "usable": True}],
        "holders": {"complete": True, "processes": []},
        "model_zoo": ["/usr/share/hailo-models/yolov8s_h8l.hef"],
        "libraries": [f"/usr/lib/libhailort.so.{version}"],
        "firmware": ["/lib/firmware/hailo/hailo8_fw.bin"],
        "modprobe": {},
    }
    for name in ("commands", "files"):
        merged = {**raw[name], **changes.pop(name, {})}
        raw[name] = {key: value for key, value in merged.items() if value is not None}
    raw.update(changes)
    return facts_of(raw)


def facts_of(raw: Mapping[str, object]) -> Facts:
    """Read what an agent would answer."""
    facts = read_reply(Facts, json.dumps(raw).encode())
    assert isinstance(facts, Facts)
    return facts
