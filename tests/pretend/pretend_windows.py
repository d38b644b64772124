"""Windows for hefsmith's own code, as far as Linux can pretend; loaded at each start of a Python.

What lies under the code stays as it is: the standard library, third-party libraries and the paths.
Our modules are given another ``os``, ``sys``, ``signal``, ``platform`` and ``socket``, without
what Windows lacks, and no module that is not there. The file system is given some of Windows' ways
for everybody: no links without a privilege, no names with its special characters, no removal and
no replacement of what is open, CR LF in texts.

What was met is appended to the file that ``HEFSMITH_EMULATED_HOST_LOG`` names, one line each.
"""

import builtins
import importlib.abc
import importlib.machinery
import io
import os
import platform
import re
import signal
import socket
import subprocess
import sys
import types

OURS = ("orchestrator", "hefsmith_worker", "hailo_emulator", "hailo_sdk_client", "hailo_platform")

HIDDEN = """
fcntl grp pwd resource termios tty pty crypt spwd syslog posix nis readline curses
"""

#: What the documentation of Python 3.11 marks as "Availability: Unix".
OS_LACKS = """
fork forkpty getuid geteuid getgid getegid getgroups getresuid getresgid setuid setgid setsid
getsid getpgid getpgrp setpgid killpg uname mkfifo mknod chown lchown fchown fchmod lchmod
chroot sched_getaffinity sched_setaffinity sched_yield pidfd_open sendfile splice pread pwrite
preadv pwritev readv writev posix_fadvise posix_fallocate statvfs fstatvfs getloadavg nice wait
wait3 wait4 waitid getpriority setpriority sysconf confstr pathconf fpathconf ctermid ttyname
openpty tcgetpgrp set_blocking get_blocking O_NOFOLLOW O_DIRECTORY O_CLOEXEC O_NONBLOCK O_SYNC
O_DSYNC memfd_create eventfd copy_file_range getxattr setxattr listxattr posix_spawn
posix_spawnp register_at_fork WNOHANG sync fwalk openat EX_OK getrandom
"""

SIGNAL_LACKS = """
SIGKILL SIGHUP SIGUSR1 SIGUSR2 SIGALRM SIGPIPE SIGCHLD SIGQUIT SIGSTOP SIGCONT SIGTSTP SIGWINCH
alarm setitimer getitimer pthread_sigmask pthread_kill sigwait siginterrupt pause
"""

FORBIDDEN = re.compile(r'[<>:"|?*\x00-\x1f]|[. ]$')
DEVICES = re.compile(r"(?:con|prn|aux|nul|com[1-9]|lpt[1-9])(?:\.|$)", re.IGNORECASE)

CTRL_C_EVENT, CTRL_BREAK_EVENT = 0, 1


def note(text):
    place = os.environ.get("HEFSMITH_EMULATED_HOST_LOG")
    if place:
        with REAL_OPEN(place, "a", encoding="utf-8") as stream:
            stream.write(text + "\n")


REAL_OPEN = io.open


class Pretended:
    """A module of which some names are missing and some are others."""

    def __init__(self, real, lacks=(), **others):
        object.__setattr__(self, "_real", real)
        object.__setattr__(self, "_lacks", frozenset(lacks))
        vars(self).update(others)

    def __getattr__(self, name):
        if name in self._lacks:
            msg = f"module {self._real.__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        return getattr(self._real, name)

    def __setattr__(self, name, value):
        setattr(self._real, name, value)


def kill(pid, number):
    """Windows knows two console events; any other number is the exit status of a killing."""
    if number in (CTRL_C_EVENT, CTRL_BREAK_EVENT):
        note(f"os.kill({number})")
        os.kill(pid, signal.SIGINT)
        return
    note(f"os.kill of {number} ends the process")
    os.kill(pid, signal.SIGKILL)


def set_signal(number, handler):
    if number == CTRL_BREAK_EVENT:
        number = signal.SIGINT
    if number not in (signal.SIGINT, signal.SIGTERM, signal.SIGABRT, signal.SIGILL, signal.SIGFPE,
                      signal.SIGSEGV):  # fmt: skip
        raise ValueError("invalid signal value")
    return signal.signal(number, handler)


def fake_msvcrt():
    """What there is of msvcrt in our code: a lock of some bytes, as a lock of the whole file."""
    import fcntl

    found = types.ModuleType("msvcrt")
    found.LK_LOCK, found.LK_NBLCK, found.LK_UNLCK, found.LK_NBRLCK = 1, 2, 0, 4

    def locking(number, mode, count):
        if mode == found.LK_UNLCK:
            fcntl.flock(number, fcntl.LOCK_UN)
            return
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise OSError(
                36 if mode == found.LK_LOCK else 13, "Resource deadlock avoided"
            ) from error

    found.locking = locking
    found.get_osfhandle = lambda number: number
    found.setmode = lambda number, mode: mode
    return found


def fake_winreg():
    found = types.ModuleType("winreg")
    found.HKEY_LOCAL_MACHINE = found.HKEY_CURRENT_USER = found.HKEY_CLASSES_ROOT = 1

    class Key:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    def OpenKey(root, path):
        if "Cryptography" in path:
            return Key()
        raise FileNotFoundError(2, "The system cannot find the file specified")

    found.OpenKey = OpenKey
    found.QueryValueEx = lambda key, name: ("2b1c7f6e-0000-4000-8000-000000000001", 1)
    return found


class Kernel32:
    """OpenProcess, WaitForSingleObject and GetProcessTimes of processes of this system."""

    def __init__(self, *_, **__):
        self.OpenProcess = types.SimpleNamespace(restype=None)

    def __getattribute__(self, name):
        if name == "OpenProcess":
            return Opener()
        return object.__getattribute__(self, name)

    def WaitForSingleObject(self, handle, milliseconds):
        return 0x102 if alive(handle.value) else 0

    def GetProcessTimes(self, handle, created, *_):
        try:
            with REAL_OPEN(f"/proc/{handle.value}/stat") as stream:
                created._obj.value = int(stream.read().rpartition(")")[2].split()[19])
        except OSError:
            return 0
        return 1

    def CloseHandle(self, handle):
        return 1


class Opener:
    restype = None

    def __call__(self, access, inherit, pid):
        if not alive(pid):
            LAST_ERROR[0] = 87
            return None
        return pid


LAST_ERROR = [0]


def alive(pid):
    try:
        with REAL_OPEN(f"/proc/{pid}/stat") as stream:
            return stream.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def which(name, mode=os.F_OK | os.X_OK, path=None):
    """Find a program by one of the endings that Windows knows; ELF files stand for ``.exe``."""
    import shutil

    for ending in ("", ".cmd", ".bat"):
        found = shutil.which(name + ending, mode, path)
        if found and (ending or name.endswith((".cmd", ".bat")) or not is_script(found)):
            return found
    return None


def is_script(path):
    with REAL_OPEN(path, "rb") as stream:
        return stream.read(2) == b"#!"


def modules():
    import ctypes
    import shutil

    uname = platform.uname()._replace(
        system="Windows", release="10", version="10.0.19045", machine="AMD64"
    )
    version = types.SimpleNamespace(major=10, minor=0, build=19045)
    return {
        "os": Pretended(os, OS_LACKS.split(), name="nt", kill=kill, altsep="\\"),
        "sys": Pretended(sys, platform="win32", getwindowsversion=lambda: version),
        "signal": Pretended(
            signal,
            SIGNAL_LACKS.split(),
            CTRL_C_EVENT=CTRL_C_EVENT,
            CTRL_BREAK_EVENT=CTRL_BREAK_EVENT,
            SIGBREAK=CTRL_BREAK_EVENT,
            signal=set_signal,
        ),
        "platform": Pretended(
            platform,
            system=lambda: "Windows",
            machine=lambda: "AMD64",
            release=lambda: "10",
            version=lambda: "10.0.19045",
            uname=lambda: uname,
            platform=lambda *_: "Windows-10",
        ),
        "socket": Pretended(socket, {"AF_UNIX"}),
        "shutil": Pretended(shutil, which=which),
        "ctypes": Pretended(
            ctypes,
            WinDLL=Kernel32,
            windll=types.SimpleNamespace(kernel32=Kernel32()),
            get_last_error=lambda: LAST_ERROR[0],
        ),
        "msvcrt": fake_msvcrt(),
        "winreg": fake_winreg(),
    }


def install_imports():
    """Give our modules another import statement."""
    given = modules()
    hidden = HIDDEN.split()
    real_import = builtins.__import__

    def pretending(name, module=None, local=None, fromlist=(), level=0):
        if level == 0:
            top = name.partition(".")[0]
            if top in hidden:
                note(f"import {name}")
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
            if top in given and not (fromlist and name != top):
                return given[top]
        return real_import(name, module, local, fromlist, level)

    namespace = dict(vars(builtins), __import__=pretending)

    class Loader(importlib.machinery.SourceFileLoader):
        def exec_module(self, module):
            module.__dict__["__builtins__"] = namespace
            super().exec_module(module)

    class Finder(importlib.abc.MetaPathFinder):
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] not in OURS:
                return None
            spec = importlib.machinery.PathFinder.find_spec(name, path, target)
            if spec is None or not isinstance(spec.loader, importlib.machinery.SourceFileLoader):
                return spec
            spec.loader = Loader(spec.loader.name, spec.loader.path)
            return spec

    sys.meta_path.insert(0, Finder())
    # Scripts of ours are run as they lie, and not imported.
    sys.modules["__main__"].__dict__["__builtins__"] = namespace


# The file system


def below(path):
    """Return the path as text if it lies in the folder that plays the Windows disk."""
    root = os.environ.get("HEFSMITH_EMULATED_HOST_ROOT")
    if not root or isinstance(path, int):
        return None
    try:
        text = os.path.abspath(os.fsdecode(path))
    except (TypeError, ValueError):
        return None
    return text if text.startswith(root + "/") else None


def check_name(path):
    text = below(path)
    if text is None:
        return
    for part in text[len(os.environ["HEFSMITH_EMULATED_HOST_ROOT"]) :].split("/"):
        if part and (FORBIDDEN.search(part) or DEVICES.match(part)):
            note(f"name {part}")
            raise OSError(22, "The filename, directory name, or volume label syntax is incorrect",
                          text)  # fmt: skip
    if len(text) >= 260 + len(os.environ["HEFSMITH_EMULATED_HOST_ROOT"]):
        note(f"long {len(text)} {text}")


def check_open(path, what):
    """Refuse when a file at or below ``path`` is open or mapped in this process."""
    text = below(path)
    if text is None or os.path.islink(text):
        return
    held = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            held.add(os.readlink(f"/proc/self/fd/{number}"))
        except OSError:
            continue
    with REAL_OPEN("/proc/self/maps") as stream:
        held.update(line.split(None, 5)[5].strip() for line in stream if "/" in line)
    real = os.path.realpath(text)
    for one in held:
        if one == real or one.startswith(real + "/"):
            note(f"{what} of {one}, which is open")
            raise PermissionError(13, "The process cannot access the file because it is being used "
                                  "by another process", text)  # fmt: skip


def install_files():
    real = {name: getattr(os, name) for name in (
        "open", "mkdir", "replace", "rename", "unlink", "remove", "rmdir", "symlink", "chmod",
    )}  # fmt: skip

    def open_text(file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, *more,
                  **named):  # fmt: skip
        check_name(file)
        text = "b" not in mode
        if text and newline is None and any(letter in mode for letter in "wax+"):
            newline = "\r\n" if "+" not in mode else None
        return REAL_OPEN(file, mode, buffering, encoding, errors, newline, *more, **named)

    def os_open(path, flags, mode=0o777, **named):
        check_name(path)
        if below(path) and os.path.isdir(path):
            note(f"os.open of the folder {path}")
            raise PermissionError(13, "Permission denied", os.fsdecode(path))
        return real["open"](path, flags, mode, **named)

    def mkdir(path, mode=0o777, **named):
        check_name(path)
        return real["mkdir"](path, mode, **named)

    def move(name, onto):
        def act(source, target, **named):
            check_name(target)
            check_open(source, name)
            if below(target) and os.path.lexists(target):
                if not onto:
                    note(f"{name} onto {target}")
                    raise FileExistsError(17, "Cannot create a file when that file already exists",
                                          os.fsdecode(target))  # fmt: skip
                if os.path.isdir(target):
                    note(f"{name} onto the folder {target}")
                    raise PermissionError(13, "Access is denied", os.fsdecode(target))
                check_open(target, name)
            return real[name](source, target, **named)

        return act

    def remove(name):
        def act(path, **named):
            if not named.get("dir_fd"):
                check_open(path, name)
                if below(path) and os.path.isfile(path) and not os.stat(path).st_mode & 0o200:
                    note(f"{name} of {path}, which is read-only")
                    raise PermissionError(13, "Access is denied", os.fsdecode(path))
            return real[name](path, **named)

        return act

    def symlink(source, target, *more, **named):
        if below(target) is None:
            return real["symlink"](source, target, *more, **named)
        if os.path.lexists(target):
            raise FileExistsError(17, "Cannot create a file when that file already exists", target)
        note(f"symlink {target}")
        raise OSError(22, "A required privilege is not held by the client", os.fsdecode(target))

    io.open = builtins.open = open_text
    os.open, os.mkdir, os.symlink = os_open, mkdir, symlink
    os.replace, os.rename = move("replace", True), move("rename", False)
    os.unlink, os.remove, os.rmdir = remove("unlink"), remove("remove"), remove("rmdir")
    # What was taken by its name when these were loaded.
    import shutil

    shutil._use_fd_functions = False
    shutil.rmtree.avoids_symlink_attacks = False


#: Programs that Windows has not, and those of its own that are not here.
PROGRAMS = ("ps", "sh", "bash", "id", "kill", "uname")


def words_of(arguments, executable):
    """Return the words that Windows would start; raises what it answers if it cannot."""
    words = [arguments] if isinstance(arguments, (str, bytes)) else list(arguments)
    program = os.fsdecode(executable or words[0])
    if program.endswith((".cmd", ".bat")):
        with REAL_OPEN(program, encoding="utf-8") as stream:
            text = stream.read().partition("\n")[0].strip()
        parts = re.findall(r'"([^"]*)"', text.replace("%%", "%"))
        return [*parts, *map(os.fsdecode, words[1:])]
    if os.path.basename(program) == "taskkill":
        return [sys.executable, "-S", "-c", KILL, os.fsdecode(words[-1])]
    if os.path.basename(program) in PROGRAMS:
        note(f"program {program}")
        raise FileNotFoundError(2, "The system cannot find the file specified", program)
    import shutil

    found = program if os.path.isfile(program) else shutil.which(program)
    if found and is_script(found):
        note(f"a script as a program: {program}")
        raise OSError(8, "%1 is not a valid Win32 application", program)
    return arguments


#: ``taskkill /T /F /PID``: a process and what it started.
KILL = """
import os, signal, sys
def kin(pid):
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                fields = open(f"/proc/{name}/stat").read().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == pid:
                yield from kin(int(name))
    yield pid
for one in list(kin(int(sys.argv[1]))):
    try:
        os.kill(one, signal.SIGKILL)
    except OSError:
        pass
"""


def install_processes():
    real_init = subprocess.Popen.__init__

    def init(self, args, *more, **named):
        if named.get("preexec_fn") is not None:
            raise ValueError("preexec_fn is not supported on Windows platforms")
        if named.get("pass_fds"):
            raise ValueError("pass_fds not supported on Windows.")
        flags = named.pop("creationflags", 0)
        if flags & 0x200:
            # The console's Ctrl-C does not reach a group of its own.
            named["start_new_session"] = True
        else:
            named.pop("start_new_session", None)
        args = words_of(args, named.pop("executable", None))
        real_init(self, args, *more, **named)

    def send_signal(self, number):
        """As Popen of Windows does: two events, an end, and nothing else."""
        if self.poll() is not None:
            return
        if number == signal.SIGTERM:
            note("terminate")
            os.kill(self.pid, signal.SIGKILL)
        elif number in (CTRL_C_EVENT, CTRL_BREAK_EVENT):
            os.kill(self.pid, signal.SIGINT)
        else:
            raise ValueError(f"Unsupported signal: {number}")

    subprocess.Popen.__init__ = init
    subprocess.Popen.send_signal = send_signal
    subprocess.Popen.kill = subprocess.Popen.terminate = lambda self: send_signal(
        self, signal.SIGTERM
    )
    subprocess.CREATE_NEW_PROCESS_GROUP = 0x200
    subprocess.DETACHED_PROCESS = 0x8
    subprocess.CREATE_NO_WINDOW = 0x08000000


def install():
    if os.environ.get("HEFSMITH_EMULATED_HOST_ROOT"):
        install_imports()
        install_files()
        install_processes()
        note(f"start {' '.join(sys.orig_argv)[:900]!r}")
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.reconfigure(newline="\r\n")


install()
