"""The end of a process is seen where it is, and never taken for that of another one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.engine import process_watch

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="Linux has this")


def of_ours() -> str:
    """Return a word that the control groups of our processes have in their names."""
    return Path("/proc/self/cgroup").read_text(encoding="utf-8").split("\n")[0]


def test_the_end_of_a_process_is_seen_when_it_comes() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        seen = process_watch.watch(of_ours(), process.pid)
        assert seen is not None
        assert not seen.gone(0.1)
        process.communicate(b"\n")
        assert seen.gone(5.0)
    seen.close()
    assert not seen.gone(0.0), "nobody looks any more"


def test_a_number_that_means_no_process_of_the_container_here_has_no_witness() -> None:
    assert process_watch.watch("0123456789abcdef", os.getpid()) is None
    assert process_watch.watch(of_ours(), 0) is None
    assert process_watch.watch("", os.getpid()) is None
    with subprocess.Popen([sys.executable, "-c", "pass"]) as process:
        process.wait()
        assert process_watch.watch(of_ours(), process.pid) is None
