"""Devices and projects on a host without POSIX: nothing there may be needed to load or to write."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

SCRIPT = """
import importlib, os, pkgutil, signal, sys, tempfile
from pathlib import Path
# What belongs to others is loaded first; it has its own guards.
import asyncio, asyncssh, pydantic, yaml, platformdirs, subprocess, shutil, socket, getpass
import concurrent.futures.thread, multiprocessing, numpy, hashlib, packaging.version
for name in ("fcntl", "pwd", "grp", "resource", "termios", "tty"):
    sys.modules[name] = None
for name in ("geteuid", "getuid", "killpg", "fork", "mkfifo", "O_NONBLOCK", "O_NOCTTY",
             "getpgid", "setsid", "statvfs", "sched_getaffinity"):
    if hasattr(os, name):
        delattr(os, name)
for name in ("SIGKILL", "SIGHUP"):
    if hasattr(signal, name):
        delattr(signal, name)
import orchestrator.device, orchestrator.project
for package in (orchestrator.device, orchestrator.project):
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if ".jobs" not in found.name:
            importlib.import_module(found.name)
from orchestrator.device import registry
from orchestrator.device.base import DeviceSpec
from orchestrator.files import scratch
from orchestrator.project.yaml_source import read_yaml
from orchestrator.reading import read_text
with scratch("hefsmith-test") as folder:
    (folder / "hef.yaml").write_text("schema: 1\\n")
    assert read_yaml(folder / "hef.yaml").value == {"schema": 1}
    path = registry.save_user_device(DeviceSpec(name="pi", host="pi5.local"))
    assert "pi5.local" in read_text(path)
    assert registry.read_user_devices()["pi"].host == "pi5.local"
print("fine")
"""


@pytest.mark.slow
def test_nothing_of_posix_is_needed_to_know_devices_and_projects(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "HEFSMITH_DATA": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.stdout.strip() == "fine", done.stderr
