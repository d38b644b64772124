"""Scripts and services that must not outlive the host's interest in them (Python 3.9)."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from typing import IO, TYPE_CHECKING

from .files import Json, Refused, remove_tree, safe_name

if TYPE_CHECKING:
    from pathlib import Path

    from .link import Link


#: Bytes of a line of a job's output; a longer one arrives in pieces.
LONGEST_LINE = 1 << 17


class Job:
    """One temporary folder in which one script runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(mode=0o700)

    def run(
        self,
        link: Link,
        *,
        python: list[str],
        script: str,
        request: Json,
        env: dict[str, str],
        timeout: float,
    ) -> Json:
        """Run the script to its end; its lines go to the host as events while they come."""
        settings = {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        surroundings = {**os.environ, **settings, **env}
        # By its name alone Windows would start nothing but an .exe.
        program = shutil.which(python[0], path=surroundings.get("PATH")) or python[0]
        process = subprocess.Popen(
            [program, *python[1:], str(self.folder / safe_name(script))],
            cwd=self.folder,
            env=surroundings,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=os.name != "nt",
        )
        self._process = process
        if link.gone.is_set():
            self.kill()
        assert process.stdin is not None and process.stdout is not None
        assert process.stderr is not None
        readers = [
            threading.Thread(target=_relay, args=(link, name, stream), daemon=True)
            for name, stream in (("stdout", process.stdout), ("stderr", process.stderr))
        ]
        for reader in readers:
            reader.start()
        with contextlib.suppress(OSError):
            process.stdin.write(json.dumps(request).encode("utf-8"))
        with contextlib.suppress(OSError):
            process.stdin.close()
        timed_out = False
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            timed_out = True
            self.kill()
            process.wait()
        for reader in readers:
            reader.join(5)
        return {"code": process.returncode, "timed_out": timed_out}

    def kill(self) -> None:
        """End the script and its children, if they still run."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        with contextlib.suppress(OSError):
            if sys.platform == "win32":
                process.kill()
            else:
                os.killpg(process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End the script and remove the folder."""
        self.kill()
        remove_tree(self.folder)


def _relay(link: Link, name: str, stream: IO[bytes]) -> None:
    with stream:
        while line := stream.readline(LONGEST_LINE):
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            with contextlib.suppress(OSError, ValueError):
                link.send_json(b"V", {name: text})


class Services:
    """systemd units that were stopped, and are started again in every case."""

    def __init__(self) -> None:
        self._stopped: list[str] = []

    def stop(self, unit: str) -> bool:
        """Stop a running unit; False when it was not running."""
        asked = _systemctl("is-active", unit)
        if asked.stdout.strip() not in ("active", "activating", "reloading"):
            return False
        self._stopped.append(unit)  # first: a stop that works by half is undone too
        done = _systemctl("stop", unit)
        if done.returncode != 0:
            _systemctl("start", unit)
            self._stopped.remove(unit)
            msg = (done.stderr or done.stdout).strip() or f"cannot stop {unit}"
            raise Refused(msg, code="service")
        return True

    def start(self, unit: str) -> None:
        """Start a unit that was stopped here."""
        if unit not in self._stopped:
            return
        done = _systemctl("start", unit)
        if done.returncode != 0:
            msg = (done.stderr or done.stdout).strip() or f"cannot start {unit}"
            raise Refused(msg, code="service")
        self._stopped.remove(unit)

    def start_all(self) -> None:
        """Start every unit that is still stopped."""
        for unit in self._stopped:
            _systemctl("start", unit)
        self._stopped = []


def _systemctl(verb: str, unit: str) -> subprocess.CompletedProcess[str]:
    """Run systemctl for a system unit, with sudo where that asks for no password."""
    command = ["systemctl", "--no-ask-password", verb, "--", unit]
    root = sys.platform != "win32" and os.geteuid() == 0
    attempts = [command] if root else [["sudo", "-n", *command], command]
    done = subprocess.CompletedProcess(command, 1, "", "")
    for words in attempts:
        try:
            done = subprocess.run(
                words, capture_output=True, text=True, errors="replace", timeout=90, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            done = subprocess.CompletedProcess(words, 1, "", str(error))
        if done.returncode == 0:
            break
    return done
