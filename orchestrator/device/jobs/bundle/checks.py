"""What this machine lacks for the program of this folder, each with what to do about it."""

from __future__ import annotations

import importlib
import json
import os
import socket
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

if TYPE_CHECKING:
    import argparse

GOOD, POOR, BAD = "ok", "warning", "missing"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at; ``fix`` says what to do where it is not good."""

    name: str
    state: str
    found: str
    fix: str = ""


def show(checks: list[Check], *, as_json: bool) -> int:
    """Print the checks; returns the exit status, 1 where something is missing."""
    if as_json:
        print(json.dumps([asdict(check) for check in checks]))
    else:
        for check in checks:
            print("%-8s %-12s %s" % (check.state, check.name, check.found))
            if check.fix:
                print("%-21s fix: %s" % ("", check.fix))
    return 1 if any(check.state == BAD for check in checks) else 0


def look(facts: dict[str, Any], options: argparse.Namespace) -> list[Check]:
    """Look at everything that the program needs with these options."""
    found = [_python(), _module("numpy", "python3-numpy"), _module("PIL", "python3-pil")]
    package = (facts.get("packages") or {}).get("binding", "python3-hailort")
    binding = _module("hailo_platform", package)
    found.append(binding)
    if all(check.state == GOOD for check in found):
        found.append(_chip(facts))
    found += _source(options.source)
    if options.show == "window":
        found.append(_module("cv2", "python3-opencv"))
        if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            fix = "Start it on the Pi's desktop, or use --web 8080"
            found.append(Check("window", BAD, "there is no screen in this session", fix))
    if options.web is not None:
        found.append(_port(*options.web))
    if options.mqtt:
        found.append(_module("paho.mqtt.client", "python3-paho-mqtt"))
    return found


def _python() -> Check:
    version = "%d.%d.%d" % sys.version_info[:3]
    if sys.version_info < (3, 9):
        return Check("Python", BAD, version, "Python 3.9 or newer (Raspberry Pi OS 12 or newer)")
    return Check("Python", GOOD, version)


def _module(name: str, package: str) -> Check:
    title = name.partition(".")[0]
    try:
        module = importlib.import_module(name)
    except Exception as error:
        # A module that is there and cannot be loaded is told in its own words.
        there = not isinstance(error, ImportError) or getattr(error, "name", None) != title
        fix = "" if there else "sudo apt install " + package
        return Check(title, BAD, str(error) or type(error).__name__, fix)
    return Check(title, GOOD, str(getattr(module, "__version__", "is there")))


def _chip(facts: dict[str, Any]) -> Check:
    """Run one grey picture: the chip, its driver, the HEF and all between."""
    import numpy as np
    from hailo_model import Model

    if facts.get("emulated"):
        note = "an emulated HEF, which no chip can run: build it with Hailo's suite"
    else:
        note = ""
    try:
        with Model() as model:
            grey = [np.full((64, 64, 3), 128, np.uint8)] * len(facts["inputs"])
            start = time.monotonic()
            model.run(*grey)
            took = 1000 * (time.monotonic() - start)
    except Exception as error:
        text = str(error) or type(error).__name__
        return Check("chip", BAD, text, _cure(text, facts))
    return Check("chip", POOR if note else GOOD, "one picture took %.1f ms" % took, note)


def _cure(text: str, facts: dict[str, Any]) -> str:
    """Return what helps against a status of HailoRT, as far as its name tells."""
    packages = facts.get("packages") or {}
    if "IN_USE" in text or "OUT_OF_PHYSICAL_DEVICES" in text:
        holders = "; ".join(_holders()) or "sudo fuser -v /dev/hailo*"
        return "another program has the chip: " + holders
    if "NOT_COMPATIBLE" in text or "HEF_NOT" in text:
        return "build it for the chip of this machine: hailortcli fw-control identify"
    if "DRIVER" in text or "NOT_FOUND" in text:
        return "sudo apt install %s, then restart" % packages.get("everything", "hailo-all")
    return "hef explain knows more: paste this line there"


def _holders() -> list[str]:
    """Return who has the chip's device open, as far as this user may see."""
    found = []
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            target = str(link.readlink())
        except OSError:
            continue
        if target.startswith(("/dev/hailo", "/dev/h1x")):
            process = link.parts[2]
            try:
                words = Path("/proc", process, "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            line = "process %s (%s)" % (process, b" ".join(words[:2]).decode("utf-8", "replace"))
            if line not in found and process != str(os.getpid()):
                found.append(line)
    return found


def _source(text: str) -> list[Check]:
    import frames

    try:
        source = frames.parse_source(text)
    except ValueError as error:
        return [Check("source", BAD, str(error), "see the head of frames.py")]
    kinds: dict[str, Callable[[str], list[Check]]] = {
        "picamera2": _camera,
        "usb": _usb,
        "stream": lambda _: [_module("cv2", "python3-opencv")],
        "film": lambda _: [_module("cv2", "python3-opencv")],
        "folder": lambda where: [Check("source", GOOD, where)],
    }
    return kinds[source.kind](source.where)


def _camera(number: str) -> list[Check]:
    module = _module("picamera2", "python3-picamera2")
    if module.state != GOOD:
        return [module]
    from picamera2 import Picamera2

    cameras = Picamera2.global_camera_info()
    if int(number) >= len(cameras):
        fix = "Look at its cable; rpicam-hello --list-cameras shows what is seen."
        return [module, Check("camera", BAD, "cameras seen: %d" % len(cameras), fix)]
    return [module, Check("camera", GOOD, str(cameras[int(number)].get("Model", "is there")))]


def _usb(where: str) -> list[Check]:
    module = _module("cv2", "python3-opencv")
    node = Path("/dev/video%s" % where if where.isdigit() else where)
    if not node.exists():
        return [module, Check("camera", BAD, "%s does not exist" % node, "v4l2-ctl --list-devices")]
    if not os.access(str(node), os.R_OK | os.W_OK):
        fix = "sudo usermod -aG video $USER, then log in again"
        return [module, Check("camera", BAD, "%s may not be opened" % node, fix)]
    return [module, Check("camera", GOOD, str(node))]


def _port(host: str, port: int) -> Check:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            fix = "Choose another port: --web 8081"
            return Check("web", BAD, "port %d: %s" % (port, error.strerror), fix)
    return Check("web", GOOD, "port %d is free" % port)
