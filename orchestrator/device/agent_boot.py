"""How the agent is started on a device, and what it means where it does not start."""

from __future__ import annotations

import base64
import json
import re
import shlex
import zlib
from functools import cache
from importlib import resources

from orchestrator.device.agent import PARTS
from orchestrator.device.faults import DeviceLacks
from orchestrator.errors import escape_control

#: The Python that the agent's text needs.
OLDEST = (3, 9)

#: What nologin, sshd's own file transfer and restricted shells say in the place of a program.
_NO_SHELL = re.compile(
    r"account is currently not available|sftp connections only|\brestricted: cannot|rbash: "
    r"|not permitted to (?:execute|run)",
    re.IGNORECASE,
)

#: What Python printed when it began, before it took anything in.
_BEGAN = re.compile(rb"HEFSMITH-PYTHON (\d+)\.(\d+)\.(\d+)")

#: How a text ends that has lost a part of itself on the way.
_DAMAGED = re.compile(
    r"^(?:\w+\.)*(?:(?:Syntax|Indentation|Name|JSONDecode|UnicodeDecode)Error\b"
    r"|zlib\.error|binascii\.)",
    re.MULTILINE,
)

#: One line without single quotes, backslashes and exclamation marks, which any login shell takes:
#: csh ends a word at the line's end, and looks for a command of before at an exclamation mark.
#: A login script may have read a part of what was sent: what begins in the middle is not run.
_BOOT = (
    'import sys; print("HEFSMITH-PYTHON %%d.%%d.%%d" %% sys.version_info[:3], flush=True); '
    'text = sys.stdin.buffer.read(%d).decode("latin-1"); '
    'exec(text if text.startswith("# hefsmith") else "")'
)

_LOADER = """\
# hefsmith
import base64, json, sys, types, zlib
packed = base64.b64decode(sys.stdin.buffer.read(%d))
parts = json.loads(zlib.decompress(packed).decode("utf-8"))
package = types.ModuleType("hefsmith_agent")
package.__path__ = []
sys.modules["hefsmith_agent"] = package
for name, text in parts:
    module = types.ModuleType("hefsmith_agent." + name)
    module.__package__ = "hefsmith_agent"
    sys.modules[module.__name__] = module
    exec(compile(text, "hefsmith_agent/" + name + ".py", "exec"), module.__dict__)
module.main()
"""


@cache
def _sent() -> tuple[bytes, bytes]:
    """Return the loader, and the agent's modules as a JSON list of (name, text) in their order.

    The list is packed: over a link of 8 KiB a second it would not be there before the keepalive
    gives the link up. It is text, since a login that goes on by itself may show it.
    """
    folder = resources.files("orchestrator.device.agent")
    parts = [(name, folder.joinpath(f"{name}.py").read_text(encoding="utf-8")) for name in PARTS]
    modules = base64.b64encode(zlib.compress(json.dumps(parts).encode("utf-8"), 9))
    return (_LOADER % len(modules)).encode("utf-8"), modules


def agent_payload() -> bytes:
    """Return what is sent to the device's Python first."""
    return b"".join(_sent())


def agent_command(python: str) -> str:
    """Return the shell line that starts the agent. ``-I``: the login's environment stays out."""
    return shlex.join([*shlex.split(python), "-I", "-c", _BOOT % len(_sent()[0])])


def no_start(
    name: str, *, python: str, login: str, out: bytes, err: bytes, status: int | None
) -> DeviceLacks:
    """Return the error for an agent that said nothing of itself.

    ``out`` and ``err`` are what came instead, ``status`` is ``None`` where the wait ended first,
    and ``login`` is the line that logs in there by hand.
    """
    python = escape_control(python)
    began = _BEGAN.search(out)
    complaint = err.decode("utf-8", "replace").strip()
    said = complaint or out.decode("utf-8", "replace").strip()
    last = escape_control(said.splitlines()[-1])[:300] if said else "it said nothing"
    if began is not None:
        return _stopped(name, python, tuple(map(int, began.groups())), complaint, last, status)
    if _NO_SHELL.search(said):
        return DeviceLacks(
            f"{name}: this login may not run programs there: {last}",
            hint="Take another user, or give this one a shell: sudo chsh -s /bin/bash USER",
        )
    if re.search(r"password.{0,20}(?:change|expired)|change your password", said, re.IGNORECASE):
        return DeviceLacks(
            f"{name}: this login must get a new password first: {last}",
            hint=f"Log in there once, and set one: {login}",
        )
    # A shell that finds no Python says so; whoever else ends before Python began is the login
    # itself, whatever it prints (a tmux without its terminal), and of Python nothing is known.
    lower = complaint.lower()
    if status in (126, 127) or (status != 0 and "not found" in lower):
        return DeviceLacks(
            f"{name}: {python} (3.9 or newer) does not run there: {last}",
            hint="On the device: sudo apt install python3"
            if not said or "not found" in lower
            else f"Log in there and see what this prints: {python} --version",
        )
    msg = f"{name}: the login there ended with status {status} before {python} began: {last}"
    if status is None:
        msg = f"{name}: the login there went on by itself before {python} began: {last}"
    return DeviceLacks(
        msg,
        hint="Does ~/.bashrc or ~/.profile there end the shell or start another program "
        "(exit, exec, a menu)?\n"
        f"This must print a version, and no more: {login} {python} --version",
    )


def _stopped(
    name: str, python: str, version: tuple[int, ...], complaint: str, last: str, status: int | None
) -> DeviceLacks:
    """Return the error for a Python that began, and went no further."""
    if version[:2] < OLDEST:
        shown = ".".join(map(str, version))
        return DeviceLacks(
            f"{name}: {python} there is Python {shown}; hefsmith's helper needs 3.9 or newer",
            hint="Name a newer one that is there: hef device add ... --python PATH --replace\n"
            "Or install a newer system there: Raspberry Pi OS Bookworm has Python 3.11.",
        )
    if status is None or not complaint or _DAMAGED.search(complaint):
        return DeviceLacks(
            f"{name}: {python} began there, but did not get all that hefsmith sent it",
            hint="Does a line of ~/.bashrc or ~/.profile there read the input (read, cat)? Let it "
            "do so at a terminal only: [ -t 0 ] && ...",
        )
    return DeviceLacks(
        f"{name}: {python} began there, but hefsmith's helper ended at once: {last}",
        hint=f"Log in there and see what this prints: {python} -I -c 'import json, mmap'",
    )
