"""A box for programs of a project on this machine: bubblewrap, where it works.

The jobs of the local engine run in it, and the metrics of recipes. It needs no root and no
Docker, and is there on Linux only. Elsewhere there is none, and callers say so.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
import sysconfig
import tempfile
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
    "/nix/store",
    "/gnu/store",
)

#: What a program needs in addition where it may use the network.
NETWORK = ("/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/ssl", "/etc/pki")

#: What a user can do where there is no box.
HOW_TO_GET_ONE = "On Linux, bubblewrap makes one: install the package bubblewrap."


def bubblewrap(
    command: Sequence[str],
    *,
    readable: Iterable[Path],
    writable: Path,
    program: str = "bwrap",
    scratch: Path | None = None,
    folder: Path | None = None,
    network: bool = False,
    follows: bool = True,
) -> tuple[str, ...]:
    """Return ``command`` in a box: no network, no other processes, no other files.

    It may read the system, this Python, and ``readable``; it may write to ``writable`` alone,
    where it starts unless ``folder`` says another place. Its
    ``/tmp`` is its own: memory, or the folder ``scratch``.
    ``follows``: it dies with the thread that starts it, which Linux takes for the parent.
    """
    words = [program, "--unshare-all", "--new-session", "--cap-drop", "ALL"]
    words += ["--die-with-parent"] if follows else []
    words += ["--share-net"] if network else []
    words += ["--proc", "/proc", "--dev", "/dev"]
    inside = "/tmp"  # noqa: S108  the box's own
    words += ["--tmpfs", inside] if scratch is None else ["--bind", str(scratch), inside]
    for path in (*SYSTEM, *(NETWORK if network else ())):
        words += ["--ro-bind-try", path, path]
    for one in dict.fromkeys((*python_folders(), *readable)):
        words += ["--ro-bind-try", str(one), str(one)]
    words += ["--bind", str(writable), str(writable), "--chdir", str(folder or writable)]
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
    """Return bubblewrap's path, ``None`` where it is absent, or this Python does not run in it.

    A system may forbid namespaces to users, and a Python may need what the box does not show.
    """
    program = shutil.which("bwrap") if sys.platform == "linux" else None
    if program is None:
        return None
    with tempfile.TemporaryDirectory(prefix="hefsmith-box-") as folder:
        place = Path(folder).resolve()
        command = (sys.executable, "-I", "-S", "-c", "import ctypes")
        words = bubblewrap(command, readable=(), writable=place, program=program)
        try:
            done = subprocess.run(words, capture_output=True, timeout=20, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return None
    return program if done.returncode == 0 else None
