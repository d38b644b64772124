#!/usr/bin/env python3
"""A stand-in for ``systemctl --user``, as systemd.service(5), systemd.exec(5) and systemctl(1) say.

It reads the unit that is on disk since the last daemon-reload; makes the runtime directory; gives
the program few variables and those of EnvironmentFile; starts it again RestartSec after any end;
stops it by SIGTERM; ``show`` prints LoadState=not-found for a unit that is not there.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

HOME, RUNTIME = Path(os.environ["HOME"]), Path(os.environ["XDG_RUNTIME_DIR"])
UNITS = HOME / ".config/systemd/user"
KNOWN = RUNTIME / "loaded"


def main() -> int:
    """Do what the command line asks; returns the exit status."""
    user, verb, *rest = sys.argv[1:]
    assert user == "--user"
    if verb == "--version":
        print("systemd 252 (stand-in)")
        return 0
    if verb == "daemon-reload":
        KNOWN.mkdir(exist_ok=True)
        for path in KNOWN.iterdir():
            path.unlink()
        for path in UNITS.glob("*.service"):
            shutil.copy(path, KNOWN / path.name)
        return 0
    now = "--now" in rest
    unit = next(word for word in rest if word.endswith(".service"))
    if verb == "show":
        print("\n".join(f"{key}={value}" for key, value in show(unit).items()))
        return 0
    if not (KNOWN / unit).is_file():
        print(f"Failed to {verb} unit: Unit file {unit} does not exist.", file=sys.stderr)
        return 1
    link = UNITS / read(unit)["WantedBy"].join(("", ".wants")) / unit
    if verb == "enable":
        link.parent.mkdir(exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(UNITS / unit)
    if verb == "disable":
        link.unlink(missing_ok=True)
    if verb in ("restart", "stop") or (verb == "disable" and now):
        stop(unit)
    if verb in ("restart", "start") or (verb == "enable" and now):
        start(unit)
    return 0


def read(unit: str) -> dict[str, str]:
    """Return the keys of a loaded unit."""
    lines = (KNOWN / unit).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and line[0] != "#")


def expand(text: str) -> str:
    """Return a text of a unit with its specifiers filled in."""
    table = {"%h": str(HOME), "%t": str(RUNTIME), "%%": "%"}
    return re.sub("%.", lambda found: table[found[0]], text)


def state_of(unit: str) -> Path:
    """Return the file that says how a unit is."""
    return RUNTIME / f"{unit}.json"


def show(unit: str) -> dict[str, object]:
    """Return what ``show`` prints of a unit."""
    if not (KNOWN / unit).is_file():
        return {"LoadState": "not-found", "ActiveState": "inactive", "NRestarts": 0}
    path = state_of(unit)
    told = json.loads(path.read_text()) if path.is_file() else {}
    return {"LoadState": "loaded", "ActiveState": "inactive", "NRestarts": 0, **told}


def start(unit: str) -> None:
    """Start a unit in the background."""
    if os.fork() == 0:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        supervise(unit)
        os._exit(0)
    while not state_of(unit).is_file():
        time.sleep(0.01)


def supervise(unit: str) -> None:
    """Run a unit's program, and again after each end, until it is stopped."""
    keys = read(unit)
    folder = RUNTIME / keys["RuntimeDirectory"]
    folder.mkdir(exist_ok=True)
    env = {
        key: value
        for key, value in os.environ.items()
        if key in ("HOME", "PYTHONPATH", "USER") or key.startswith("HEFSMITH_EMULATED_")
    }
    env |= {"PATH": "/usr/local/bin:/usr/bin:/bin", "XDG_RUNTIME_DIR": str(RUNTIME)}
    file = Path(expand(keys["EnvironmentFile"].lstrip("-")))
    if file.is_file():
        for line in file.read_text().splitlines():
            name, _, value = line.partition("=")
            env[name] = shlex.split(value)[0] if value else ""
    words = [word.replace("$$", "$") for word in shlex.split(expand(keys["ExecStart"]))]
    assert Path(words[0]).is_absolute()
    restarts, stopping = 0, False
    log = (RUNTIME / f"{unit}.log").open("ab")

    def leave(*_: object) -> None:
        nonlocal stopping
        stopping = True
        process.terminate()

    signal.signal(signal.SIGTERM, leave)
    while not stopping:
        process = subprocess.Popen(
            words, cwd=expand(keys["WorkingDirectory"]), env=env, stdout=log, stderr=log
        )
        tell(unit, "active", restarts, "success")
        process.wait()
        if not stopping:
            tell(unit, "activating", restarts, "exit-code" if process.returncode else "success")
            time.sleep(float(keys["RestartSec"]) / 10)
            restarts += 1
    shutil.rmtree(folder, ignore_errors=True)
    tell(unit, "inactive", restarts, "success")


def tell(unit: str, active: str, restarts: int, result: str) -> None:
    """Write down how a unit is."""
    path = state_of(unit)
    part = path.with_suffix(".part")
    told = {"ActiveState": active, "NRestarts": restarts, "Result": result, "pid": os.getpid()}
    part.write_text(json.dumps(told))
    part.replace(path)


def stop(unit: str) -> None:
    """End a unit and wait for it."""
    path = state_of(unit)
    if not path.is_file():
        return
    told = json.loads(path.read_text())
    if told["ActiveState"] != "inactive":
        os.kill(told["pid"], signal.SIGTERM)
        while json.loads(path.read_text())["ActiveState"] != "inactive":
            time.sleep(0.02)
    path.unlink()


if __name__ == "__main__":
    sys.exit(main())
