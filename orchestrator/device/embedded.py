"""The device that every machine has: an SSH server in our own process, on loopback.

It is a real server: keys, sessions, processes and SFTP are those of SSH. Its commands find the
stand-ins of ``docker/emulator`` on their PATH, so that ``hailortcli`` and ``hailo_platform``
answer, and say "emulated". They run on this machine, or in a container where this Python lacks
the emulator's libraries (``boxed``). Keys are made for the process; the home folder is temporary.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import asyncssh

from orchestrator import paths
from orchestrator.device.boxed import BoxedCommands, BoxedProcess, emulation, program, surroundings
from orchestrator.errors import DeviceError
from orchestrator.files import make_scratch, remove_tree

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.device.base import DeviceSpec
    from orchestrator.device.boxed import CarrierMaker

#: A command that runs, here or in the container.
Command = asyncio.subprocess.Process | BoxedProcess

#: The scripts of ``docker/emulator/bin``.
TOOLS = ("hailortcli", "hailo")

_SHELL = "/bin/sh"
_BLOCK = 1 << 16
_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)

#: A process whose client has gone gets so long to clean up.
_LAST_SECONDS = 15.0


class EmbeddedServer:
    """One running server with its own home; :meth:`close` removes everything."""

    def __init__(self, spec: DeviceSpec, box: CarrierMaker | None = None) -> None:
        self._spec = spec
        self._box = box
        self._commands: BoxedCommands | None = None
        self.folder = make_scratch("hefsmith-device")
        self.home = self.folder / "home"
        self.home.mkdir()
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self.user_key = asyncssh.generate_private_key("ssh-ed25519")
        self.port = 0
        self._env = _surroundings(self.folder, self.home, spec)
        self._server: asyncssh.SSHAcceptor | None = None
        self._processes: set[Command] = set()

    async def start(self) -> None:
        """Listen on a free port of the loopback address."""
        authorized = asyncssh.import_authorized_keys(
            self.user_key.export_public_key().decode("ascii")
        )
        home = self.home

        class Files(asyncssh.SFTPServer):  # type: ignore[misc]  # untyped here
            """SFTP whose relative paths start at the home folder."""

            def map_path(self, path: bytes) -> bytes:
                return os.fsencode(home / os.fsdecode(path))

        try:
            if self._box is not None:
                carrier = await asyncio.to_thread(self._box, program(), surroundings(self._spec))
                self._commands = BoxedCommands(carrier, asyncio.get_running_loop())
            self._server = await asyncssh.listen(
                "127.0.0.1",
                0,
                config=None,
                server_host_keys=[self.host_key],
                authorized_client_keys=authorized,
                process_factory=self._run,
                sftp_factory=Files,
                encoding=None,
                password_auth=False,
                kbdint_auth=False,
                gss_kex=False,
                gss_auth=False,
                allow_scp=False,
                compression_algs=["none"],
            )
        except OSError as error:
            remove_tree(self.folder)
            msg = f"the embedded device cannot listen on 127.0.0.1: {error.strerror}"
            raise DeviceError(msg) from error
        self.port = self._server.get_port()

    async def close(self) -> None:
        """Stop listening, end the processes, remove the folder."""
        for process in list(self._processes):
            _send_signal(process, _KILL)
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        await asyncio.gather(*(process.wait() for process in self._processes))
        if self._commands is not None:
            self._commands.close()
        remove_tree(self.folder)

    async def _run(self, session: asyncssh.SSHServerProcess[bytes]) -> None:
        """Run one command as the device would, its streams joined to the SSH channel."""
        if session.command is None:
            session.stderr.write(b"the embedded device has no interactive shell\n")
            session.exit(1)
            return
        try:
            process = await self._spawn(session.command)
        except (DeviceError, OSError, ValueError) as error:
            session.stderr.write(f"{session.command}: {error}\n".encode())
            session.exit(127)
            return
        self._processes.add(process)
        feeding = asyncio.ensure_future(_feed(session, process))
        try:
            await asyncio.gather(
                _relay(process.stdout, session.stdout), _relay(process.stderr, session.stderr)
            )
            code = await process.wait()
            if code < 0:
                session.exit_with_signal(_signal_name(-code))
            else:
                session.exit(code)
        except (asyncssh.Error, OSError):
            # The client has gone. As under sshd, the process sees its end of file and ends.
            if process.stdin is not None:
                process.stdin.close()
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), _LAST_SECONDS)
        finally:
            feeding.cancel()
            if process.returncode is None:
                _send_signal(process, _KILL)
                await process.wait()
            self._processes.discard(process)

    async def _spawn(self, command: str) -> Command:
        if self._commands is not None:
            return self._commands.spawn(command)
        if os.name != "nt":
            words, env = [_SHELL, "-c", command], dict(self._env)
        else:
            words, env = _plain_words(command, self._env)
        return await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=self.home,
            env=env,
            start_new_session=os.name != "nt",
        )


async def _feed(session: asyncssh.SSHServerProcess[bytes], process: Command) -> None:
    """Carry the channel's input and signals to the process, then close its input."""
    assert process.stdin is not None
    with suppress(OSError, asyncssh.Error):
        while True:
            try:
                block = await session.stdin.read(_BLOCK)
            except asyncssh.SignalReceived as received:
                number = getattr(signal, f"SIG{received.signal}", signal.SIGTERM)
                _send_signal(process, number)
                continue
            if not block:
                break
            process.stdin.write(block)
            await process.stdin.drain()
    process.stdin.close()


def _send_signal(process: Command, number: int) -> None:
    """Signal a process and its children, as sshd does."""
    if isinstance(process, BoxedProcess):
        process.send_signal(number)
        return
    with suppress(ProcessLookupError, PermissionError):
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, number)


async def _relay(source: asyncio.StreamReader | None, sink: asyncssh.SSHWriter[bytes]) -> None:
    assert source is not None
    while block := await source.read(_BLOCK):
        sink.write(block)
        await sink.drain()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name.removeprefix("SIG")
    except ValueError:
        return "KILL"


def _surroundings(folder: Path, home: Path, spec: DeviceSpec) -> dict[str, str]:
    """Return the environment of the device's processes."""
    emulator = paths.image_context("emulator")
    tools = folder / "bin"
    tools.mkdir()
    for name, text in launchers(sys.executable, emulator / "bin", windows=os.name == "nt").items():
        launcher = tools / name
        launcher.write_text(text, encoding="utf-8", newline="")
        launcher.chmod(0o755)
    kept = ("LANG", "LC_ALL", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR", "PATHEXT", "COMSPEC",
            "OMP_NUM_THREADS", "PYTHONDONTWRITEBYTECODE")  # fmt: skip
    env = {name: os.environ[name] for name in kept if name in os.environ}
    env |= {name: text for name, text in os.environ.items() if name.startswith("HEFSMITH_EMULATED")}
    package = Path(str(paths.worker_package())).parent
    program = Path(str(_own_package())).parent
    modules = [emulator / "packages", program, package]
    path = [tools, emulator / "bin", Path(sys.executable).parent]
    env |= {
        "HOME": str(home),
        "USERPROFILE": str(home),
        "USER": "pi",
        "LOGNAME": "pi",
        "SHELL": _SHELL,
        "PATH": os.pathsep.join([*map(str, path), os.environ.get("PATH", os.defpath)]),
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(map(str, modules))),
    }
    node = folder / "hailo0"
    node.touch()
    return env | emulation(spec, str(node))


def _own_package() -> object:
    from importlib import resources

    return resources.files("orchestrator")


def launchers(python: str, tools: Path, *, windows: bool) -> dict[str, str]:
    """Return the programs that the device has besides: name to text.

    ``python3`` is the interpreter that runs us, with its own packages. Windows starts no script
    by its first line, and finds a program by an ending: so each tool gets a file that it knows.
    """
    if not windows:
        return {"python3": f'#!/bin/sh\nexec {shlex.quote(python)} "$@"\n'}
    made = {"python3.cmd": f"@{_cmd_quote(python)} %*\r\n"}
    for tool in TOOLS:
        script = _cmd_quote(str(tools / tool))
        made[f"{tool}.cmd"] = f"@{_cmd_quote(python)} {script} %*\r\n"
    return made


def _cmd_quote(path: str) -> str:
    """Return a path as a batch file names it; what stands between per cents is a variable there."""
    doubled = path.replace("%", "%%")
    return f'"{doubled}"'


def _plain_words(command: str, surroundings: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """Split a command line without a shell (Windows): ``[env A=B ...] program argument...``.

    Scripts that start with ``#!`` are given to the interpreter that runs us.
    """
    words, env = shlex.split(command), dict(surroundings)
    if words[:1] == ["env"]:
        words = words[1:]
        while words and "=" in words[0]:
            name, _, value = words.pop(0).partition("=")
            env[name] = value
    if not words:
        msg = "an empty command"
        raise ValueError(msg)
    if words[0] == "python3":
        return [sys.executable, *words[1:]], env
    for folder in env["PATH"].split(os.pathsep):
        script = Path(folder) / words[0]
        if script.is_file() and script.read_bytes()[:2] == b"#!":
            return [sys.executable, str(script), *words[1:]], env
    return words, env
