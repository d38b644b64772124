"""A box for a short program of the user's project on this machine: bubblewrap, where it works.

It needs no root and no Docker, and is there on Linux only. Elsewhere there is none, and callers
say so.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: What programs need of a Linux system: libraries, and how they are found. No user's folder.
SYSTEM = (
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/bin",
    "/sbin",
    "/etc/ld.so.cache",
    "/etc/alternatives",
)


def bubblewrap(
    command: Sequence[str], *, readable: Iterable[Path], writable: Path, program: str = "bwrap"
) -> tuple[str, ...]:
    """Return ``command`` in a box: no network, no other processes, no other files.

    It may read the system, this Python, and ``readable``; it may write to ``writable`` alone,
    where it starts. Its ``/tmp`` is empty and its own.
    """
    words = [program, "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    words += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]  # noqa: S108  the box's own
    for path in SYSTEM:
        words += ["--ro-bind-try", path, path]
    for one in dict.fromkeys((*python_folders(), *readable)):
        words += ["--ro-bind-try", str(one), str(one)]
    words += ["--bind", str(writable), str(writable), "--chdir", str(writable)]
    return (*words, "--", *command)


def python_folders() -> tuple[Path, ...]:
    """Return the folders of this Python: its own, the environment's, and its packages'."""
    places = sysconfig.get_paths()
    named = [places[one] for one in ("stdlib", "platstdlib", "purelib", "platlib")]
    found = [Path(sys.prefix), Path(sys.base_prefix), *map(Path, named)]
    # Packages may lie in another environment that a .pth file names.
    found += [Path(one) for one in sys.path if Path(one).name in ("site-packages", "dist-packages")]
    return tuple(dict.fromkeys(one for one in found if one != Path("/usr")))


@functools.cache
def boxed_program() -> str | None:
    """Return bubblewrap's path, ``None`` where it is absent or the system does not let it."""
    program = shutil.which("bwrap") if sys.platform == "linux" else None
    if program is None:
        return None
    words = (program, "--unshare-all", "--ro-bind", "/", "/", "--dev", "/dev", "--", "/bin/true")
    try:
        done = subprocess.run(words, capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return program if done.returncode == 0 else None
