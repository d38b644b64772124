"""A project on the Windows that :mod:`tests.pretend.pretend_windows` pretends."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Windows:
    """A disk with a home, a temporary folder and a project; a Python that believes it is Windows.

    There is no ``python3``, no shell and no other program on its PATH.
    """

    disk: Path
    python: Path

    @property
    def project(self) -> Path:
        return self.disk / "project"

    @property
    def temporary(self) -> Path:
        return self.disk / "temp"

    @property
    def environ(self) -> dict[str, str]:
        return {
            "PATH": str(self.python.parent),
            "HOME": str(self.disk / "home"),
            "USERPROFILE": str(self.disk / "home"),
            "TEMP": str(self.temporary),
            "TMP": str(self.temporary),
            "TMPDIR": str(self.temporary),
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "2"),
            "HEFSMITH_EMULATED_HOST_ROOT": str(self.disk),
            "HEFSMITH_EMULATED_HOST_LOG": str(self.disk.parent / "log"),
        }

    def command(self, *arguments: str) -> list[str]:
        return [str(self.python), "-m", "orchestrator", *arguments]

    def hef(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[bytes]:
        """Run ``hef`` with the code page of an old console."""
        return subprocess.run(
            self.command(*arguments),
            capture_output=True,
            cwd=self.project,
            check=False,
            timeout=200,
            env={**self.environ, "PYTHONIOENCODING": "cp437", **environ},
        )

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start ``hef`` in a console of its own, where Ctrl-C reaches all that share it."""
        return subprocess.Popen(
            self.command(*arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self.project,
            env=self.environ,
            start_new_session=True,
        )

    def met(self) -> Counter[str]:
        """What of Windows was met, each with how often."""
        text = (self.disk.parent / "log").read_text(encoding="utf-8")
        return Counter(line for line in text.splitlines() if ".filelock-probe-" not in line)


def make(folder: Path) -> Windows:
    """Make one in an empty folder."""
    venv.create(folder / "python", symlinks=True, with_pip=False)
    programs = folder / "python/bin"
    python = programs / "python"
    real = python.resolve()
    for one in programs.iterdir():
        one.unlink()
    python.symlink_to(real)
    [packages] = (folder / "python").glob("lib/python*/site-packages")
    shutil.copy(Path(__file__).with_name("pretend_windows.py"), packages)
    installed = [place for place in sys.path if place.endswith("-packages")]
    lines = [f"import site; site.addsitedir({place!r})\n" for place in installed]
    (packages / "pretend.pth").write_text(
        "".join([*lines, "import pretend_windows\n"]), encoding="utf-8"
    )
    made = Windows(folder / "disk", python)
    for place in (made.project, made.temporary, folder / "disk/home"):
        place.mkdir(parents=True)
    return made
