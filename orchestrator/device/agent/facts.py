"""Collect what a device shows about itself, unread: outputs, files, links (Python 3.9).

Nothing is judged here; ``orchestrator/device/identity.py`` reads it on the host, from the
outputs and never from exit codes.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import platform
import shutil
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .files import Json

#: ``modinfo`` and ``lspci`` are not on the PATH of a login without a shell profile.
PATH = os.pathsep.join(
    [os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"]
)

BINDING = """\
import json, platform
found = {"python": platform.python_version()}
try:
    import numpy
    found["numpy"] = numpy.__version__
except Exception as error:
    found["numpy_error"] = "%s: %s" % (type(error).__name__, error)
try:
    import hailo_platform
    found["binding"] = getattr(hailo_platform, "__version__", None)
    found["emulated"] = bool(getattr(hailo_platform, "__emulated__", False))
    found["file"] = hailo_platform.__file__
    import glob, os
    folder = os.path.join(os.path.dirname(hailo_platform.__file__), "pyhailort")
    # pybind11 reads numpy 2's arrays from 2.12 on, and asks numpy for NumpyVersion since then.
    for path in glob.glob(os.path.join(glob.escape(folder), "_pyhailort*.so")):
        with open(path, "rb") as file:
            found["numpy2"] = b"NumpyVersion" in file.read(1 << 26)
    if found["emulated"]:
        found["numpy2"] = getattr(hailo_platform, "__emulated_numpy2__", None)
except Exception as error:
    found["binding_error"] = "%s: %s" % (type(error).__name__, error)
if not found.get("binding"):
    try:
        from importlib.metadata import version
        found["binding"] = version("hailort")
    except Exception:
        pass
print(json.dumps(found))
"""

QUICK = {
    "version": ["hailortcli", "--version"],
    "identify": ["hailortcli", "fw-control", "identify"],
}
FULL = {
    "scan": ["hailortcli", "scan"],
    "modinfo_hailo_pci": ["modinfo", "-F", "version", "hailo_pci"],
    "modinfo_hailo1x_pci": ["modinfo", "-F", "version", "hailo1x_pci"],
    "packages": [
        "dpkg-query", "-W", "-f", "${Package} ${Version} ${db:Status-Abbrev}\\n", "hailo*",
        "python3-hailo*", "h10-*", "python3-h10*", "rpicam-apps*", "libhailort*",
    ],
    "throttled": ["vcgencmd", "get_throttled"],
    "temperature": ["vcgencmd", "measure_temp"],
}  # fmt: skip
DEEP = {
    "policy": ["apt-cache", "policy", "hailort", "h10-hailort", "hailo-all", "hailo-h10-all"],
    "dkms": ["dkms", "status"],
    "service": ["systemctl", "show", "hailort.service", "-p", "LoadState,ActiveState"],
    "held": ["apt-mark", "showhold"],
    "kernel_log": ["dmesg"],
    "kernel_log_sudo": ["sudo", "-n", "dmesg"],
    "parse": ["hailortcli", "parse-hef", "--help"],
}

FILES = (
    "/etc/os-release",
    "/proc/cpuinfo",
    "/proc/device-tree/model",
    "/proc/meminfo",
    "/proc/modules",
    "/sys/class/thermal/thermal_zone0/temp",
    "/sys/module/hailo_pci/version",
    "/sys/module/hailo1x_pci/version",
    "/sys/module/hailo_pci/parameters/force_desc_page_size",
    "/boot/firmware/config.txt",
)
PCI_VENDOR = "0x1e60"
PCI_FIELDS = (
    "device",
    "current_link_speed",
    "current_link_width",
    "max_link_speed",
    "max_link_width",
)
KEPT_CHARACTERS = 20_000

#: A tool that says nothing for so long hangs in the driver; a slow board is not that slow.
COMMAND_SECONDS = 60


def collect(python: list[str], level: str) -> Json:
    """Return the raw facts; ``level`` is quick (chip and version), full, or deep (doctor)."""
    started = time.time()
    commands = dict(QUICK)
    if level != "quick":
        commands.update(FULL)
        commands["binding"] = [*python, "-c", BINDING]
    if level == "deep":
        commands.update(DEEP)
    with ThreadPoolExecutor(max_workers=4) as pool:
        running = {name: pool.submit(run, words) for name, words in commands.items()}
        outputs = {name: future.result() for name, future in running.items()}
    home = Path.home()
    raw: Json = {
        "schema": 1,
        "level": level,
        "time": started,
        "hostname": platform.node(),
        "machine": platform.machine(),
        "kernel": platform.release(),
        "system": platform.system(),
        "home": str(home),
        "page_size": mmap.PAGESIZE,
        "disk": read_disk(home, home / ".hefsmith"),
        "commands": {name: output for name, output in outputs.items() if output is not None},
        "files": {name: text for name in FILES if (text := read_text(Path(name))) is not None},
        "pci": read_pci(),
        "nodes": read_nodes(),
    }
    if level != "quick":
        raw["holders"] = find_holders(raw["nodes"])
        raw["model_zoo"] = sorted(map(str, Path("/usr/share/hailo-models").glob("*.hef")))
        raw["libraries"] = sorted(
            str(path) for folder in ("/usr/lib", "/usr/local/lib")
            for path in (*Path(folder).glob("libhailort.so.*"),
                         *Path(folder).glob("*/libhailort.so.*"))
        )  # fmt: skip
        raw["firmware"] = sorted(map(str, Path("/lib/firmware/hailo").rglob("*_fw*.bin")))
    if level == "deep":
        raw["modprobe"] = {
            str(path): text
            for path in sorted(Path("/etc/modprobe.d").glob("*.conf"))
            if (text := read_text(path)) is not None and "hailo" in text
        }
    return raw


def read_disk(home: Path, root: Path) -> Json:
    """Return the room where releases lie, and what refuses a write there; nothing is written.

    The folder may be a link to another disk, which may be missing.
    """
    place = root if os.path.lexists(root) else home
    found: Json = {"free": None, "total": None, "folder": str(place), "refuses": None}
    try:
        usage = shutil.disk_usage(place)
        found.update(free=usage.free, total=usage.total)
        if not place.is_dir():
            found["refuses"] = "no_folder"
        elif sys.platform != "win32" and os.statvfs(place).f_flag & os.ST_RDONLY:
            found["refuses"] = "read_only"
        elif not os.access(place, os.W_OK | os.X_OK):
            found["refuses"] = "rights"
    except FileNotFoundError:
        found["refuses"] = "no_folder"
    except OSError:
        pass
    return found


def run(words: list[str]) -> Json | None:
    """Return what a command printed; ``None`` when there is no such command."""
    program = shutil.which(words[0], path=PATH)
    if program is None:
        return None
    # The tool writes its log into the working directory unless told not to.
    env = dict(os.environ, LC_ALL="C", PATH=PATH, HAILORT_LOGGER_PATH="NONE")
    try:
        done = subprocess.run(
            [program, *words[1:]], capture_output=True, timeout=COMMAND_SECONDS, env=env,
            stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"code": None, "out": "", "err": "", "timed_out": True}
    except OSError as error:
        return {"code": None, "out": "", "err": str(error)}
    return {"code": done.returncode, "out": shorten(done.stdout), "err": shorten(done.stderr)}


def shorten(data: bytes) -> str:
    """Return the end of an output as text; the kernel's log can be very long."""
    return data[-KEPT_CHARACTERS:].decode("utf-8", "replace")


def read_text(path: Path) -> str | None:
    """Return the text of a small file."""
    try:
        return path.read_bytes()[:KEPT_CHARACTERS].decode("utf-8", "replace").strip("\0\n ")
    except OSError:
        return None


def read_pci() -> list[Json]:
    """Return the Hailo devices on the PCI buses with the state of their links."""
    found: list[Json] = []
    for folder in sorted(Path("/sys/bus/pci/devices").glob("*")):
        if read_text(folder / "vendor") != PCI_VENDOR:
            continue
        entry: Json = {"address": folder.name}
        entry.update({name: read_text(folder / name) for name in PCI_FIELDS})
        with contextlib.suppress(OSError):
            entry["driver"] = (folder / "driver").resolve(strict=True).name
        found.append(entry)
    return found


def read_nodes() -> list[Json]:
    """Return the device nodes that programs open, and whether this login may."""
    paths = [*Path("/dev").glob("hailo*"), *Path("/dev").glob("h1x-*")]
    named = os.environ.get("HEFSMITH_EMULATED_NODE")
    if named:
        paths.append(Path(named))
    nodes: list[Json] = []
    for path in sorted(paths):
        with contextlib.suppress(OSError):
            mode = path.stat().st_mode
            nodes.append(
                {
                    "path": str(path),
                    "is_device": stat.S_ISCHR(mode),
                    "usable": os.access(path, os.R_OK | os.W_OK),
                }
            )
    return nodes


def find_holders(nodes: list[Json]) -> Json:
    """Return the processes that have a node open, and whether all could be looked at."""
    processes: set[int] = set()
    complete = True
    for node in nodes:
        search = [
            "find", "/proc", "-maxdepth", "3", "-path", "/proc/[0-9]*/fd/*",
            "-lname", os.path.realpath(node["path"]),
        ]  # fmt: skip
        output = None
        if node["path"].startswith("/dev/") and getattr(os, "geteuid", lambda: 0)() != 0:
            output = run(["sudo", "-n", *search])
            # sudo's own complaint (no right, no password, a broken PAM), not the search's.
            if output is not None and output["code"] != 0 and "sudo:" in output["err"]:
                output = None
            complete = complete and output is not None
        said = [] if output is None else [output]
        if output is None or output["code"] != 0:
            # In a container even root may not look at all processes; one's own can be seen.
            own = run(search)
            said += [] if own is None else [own]
        if not said:
            complete = False
            continue
        for line in "\n".join(one["out"] for one in said).splitlines():
            number = line.split("/")[2] if line.startswith("/proc/") else ""
            if number.isdigit() and int(number) != os.getpid():
                processes.add(int(number))
    return {"complete": complete, "processes": [describe(number) for number in sorted(processes)]}


def describe(number: int) -> Json:
    """Return a process's command, user and systemd unit."""
    folder = Path("/proc") / str(number)
    user = unit = None
    with contextlib.suppress(OSError, KeyError, ImportError):
        if sys.platform != "win32":
            import pwd

            user = pwd.getpwuid(folder.stat().st_uid).pw_name
    groups = read_text(folder / "cgroup") or ""
    for part in groups.replace("\n", "/").split("/"):
        if part.endswith(".service") and not part.startswith("user@"):
            unit = part
    command = (read_text(folder / "cmdline") or read_text(folder / "comm") or "").split("\0")
    return {"pid": number, "command": " ".join(command)[:200], "user": user, "unit": unit}
