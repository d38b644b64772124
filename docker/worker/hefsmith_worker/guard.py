"""The first program in the box: says what it sees, waits for the word, then runs the job.

``python -I guard.py SETTINGS COMMAND...``, run by the engine and by nobody else. SETTINGS is a
JSON object:

* ``links``: {path: target}; symbolic links to make, for inputs that arrive in volumes.
* ``work``: the build folder; a mark in it proves that the engine sees the host's folder.
* ``inputs``: paths whose kind and size are told, so that the host can compare.
* ``status``: a file that takes the exit status, for a job whose parent will be gone.
* ``patience``: seconds without a word from the host after which the job is stopped; 0 means
  that the end of standard input alone stops it; null that nothing does (a detached build).

One line goes to standard output, then one line ``go`` is awaited on standard input; what comes
after it is for the job (one that waits begins at a line ``begin``). With
``patience`` 0 this process becomes the job, which watches standard input itself. Otherwise it
stays as the parent and is the job's standard input: it must not end when a far host's
connection drops for a moment, and must end when the host is gone for good.

Standard library and Python 3.8 only: any suite's Python may run it.
"""

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from typing import IO, Dict, List, Optional, Tuple

#: The host's mark, and the guard's answer that the host must find as its own file.
MARK = ".hefsmith-mark"
ANSWER = ".hefsmith-answer"

#: The program that makes a box on a machine without Docker, as the system names its processes.
BOX = "bwrap"

#: Seconds between the rungs when the host is gone: terminate, kill.
GRACE = 5.0


def measure(path: str) -> Optional[Tuple[str, int]]:
    """Return kind and size of ``path``: a file's bytes, a folder's number of entries."""
    try:
        found = os.stat(path)
        folder = stat.S_ISDIR(found.st_mode)
        return ("dir", len(os.listdir(path))) if folder else ("file", found.st_size)
    except OSError:
        return None


def answer_mark(work: str) -> Optional[str]:
    """Return the host's mark from the build folder and leave it there as our own file."""
    try:
        with open(os.path.join(work, MARK), encoding="ascii") as stream:
            mark = stream.read()
        with open(os.path.join(work, ANSWER), "w", encoding="ascii") as stream:
            stream.write(mark)
    except (OSError, ValueError):
        return None
    return mark


def make_links(links: Dict[str, str]) -> None:
    """Make the symbolic links that are not there yet (a restarted container has them)."""
    for path, target in links.items():
        if not os.path.islink(path):
            os.symlink(target, path)


def processor_flags() -> List[str]:
    """Return those of the processor's flags that decide whether TensorFlow starts."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as stream:
            for line in stream:
                if line.startswith(("flags", "Features")):
                    words = line.partition(":")[2].split()
                    return [flag for flag in ("avx", "avx2", "asimd") if flag in words]
    except OSError:
        pass
    return []


def read_word() -> Optional[str]:
    """Return the next line of standard input, ``None`` at its end; reads no byte past it."""
    word = b""
    while True:
        byte = os.read(0, 1)
        if not byte:
            return None
        if byte == b"\n":
            return word.decode("ascii", "replace")
        word += byte


def listen(heard: List[float], job: IO[bytes]) -> None:
    """Note the time of every word from the host, until the engine closes standard input.

    An empty line says only that the host lives; any other is for the job.
    """
    line = b""
    while True:
        data = os.read(0, 4096)
        if not data:
            return
        heard[0] = time.monotonic()
        *whole, line = (line + data).split(b"\n")
        for word in filter(None, whole):
            with contextlib.suppress(OSError):
                job.write(word + b"\n")
                job.flush()


def stay(command: List[str], patience: Optional[float]) -> int:
    """Run ``command`` as a child and return its status; stop it when the host is silent."""
    job = subprocess.Popen(command, stdin=subprocess.PIPE)

    def forward(number: int, _frame: Optional[object]) -> None:
        if job.poll() is None:
            with contextlib.suppress(OSError):
                os.kill(listener(job.pid), number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, forward)
    heard = [time.monotonic()]
    if patience is not None:
        threading.Thread(target=listen, args=(heard, job.stdin), daemon=True).start()
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            job.wait(0.5)
            return status(job)
        if patience is not None and time.monotonic() - heard[0] > patience:
            report({"event": "log", "t": time.time(), "line": "the host is gone: stopping"})
            return end(job)


def listener(pid: int) -> int:
    """Return the process that a signal is for: ``pid``, or what runs in its box.

    bubblewrap does not pass signals on, and its end is the end of all that runs in it.
    """
    for _ in range(4):
        try:
            with open("/proc/%d/comm" % pid, encoding="utf-8", errors="replace") as stream:
                if stream.read().strip() != BOX:
                    return pid
            with open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as stream:
                pid = int(stream.read().split()[0])
        except (OSError, ValueError, IndexError):
            return pid
    return pid


def end(job: "subprocess.Popen[bytes]") -> int:
    """Terminate ``job``, then kill it; what it started dies with this container."""
    job.terminate()
    try:
        job.wait(GRACE)
    except subprocess.TimeoutExpired:
        job.kill()
        job.wait()
    return 143


def status(job: "subprocess.Popen[bytes]") -> int:
    """Return the exit status as a shell has it."""
    return 128 - job.returncode if job.returncode < 0 else job.returncode


def report(news: Dict[str, object]) -> None:
    """Print one JSON line."""
    sys.stdout.write(json.dumps(news) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Report, wait for the word, run the command."""
    settings = json.loads(sys.argv[1])
    command = sys.argv[2:]
    make_links(settings.get("links", {}))
    report(
        {
            "event": "guard",
            "mark": answer_mark(settings["work"]) if settings.get("work") else None,
            "seen": {path: measure(path) for path in settings.get("inputs", [])},
            "uid": os.getuid() if hasattr(os, "getuid") else None,
            "machine": os.uname().machine if hasattr(os, "uname") else None,
            "flags": processor_flags(),
        }
    )
    if read_word() != "go":
        return 143
    patience = settings.get("patience")
    if patience == 0:
        os.execvp(command[0], command)  # noqa: S606
    code = stay(command, patience)
    if settings.get("status"):
        with open(settings["status"], "w", encoding="ascii") as stream:
            stream.write(str(code))
    return code


if __name__ == "__main__":
    sys.exit(main())
