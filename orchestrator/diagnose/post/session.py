"""Follows a terminal session: which command was typed when, and which one was tried again.

People paste whole sessions: a command fails, something is mended, the same command runs again. What
the first attempt said is over then, and the last one is what they ask about. HailoRT appends every
run of a program to one hailort.log; there a run begins where it notes the system's version.
"""

from __future__ import annotations

import re
from bisect import bisect_right

from orchestrator.diagnose.words.text import strip_prefix

#: A line in which somebody typed a command.
PROMPT = re.compile(
    r"^\s*(?:\([\w.+-]{1,40}\)\s*)*(?:"
    r"[\w.-]+@[\w.-]+(?::[^$#%]{0,200})?\s?[$#%]"  # user@host:~/folder$
    r"|[a-z][\w-]{1,30}:[~/][^\s$#%]{0,100}\s?[$#](?=\s)"  # host:~ $
    r"|\[[\w.-]+@[\w.-]+ [^\]]{1,100}\][$#]"  # [user@host folder]$
    r"|[\w.-]+@[\w.-]+ [^\s%]{1,100} %"  # user@host folder %
    r"|(?:ba|z|da)?sh-[\d.]+[$#]|\$|\u276f|\u279c\s+\S+"
    r"|(?:PS )?[A-Za-z]:\\[^<>|]{0,200}>"  # PS C:\folder>
    r")\s+(?P<command>\S.*)$"
)
#: What each of these prompts holds.
_SIGNS = ("$", "#", "%", ">", "\u276f", "\u279c")
#: The host that a prompt names.
_HOST = re.compile(
    r"^\s*(?:\([\w.+-]{1,40}\)\s*)*\[?(?:[\w.-]+@(?P<host>[\w.-]+)|(?P<alone>[a-z][\w-]{1,30})(?=:[~/]))"
)
#: What engines call a container that nobody has named; each is another one, made of one image.
_UNNAMED = re.compile(r"[0-9a-f]{12}$")
#: Programs whose verb is the third word.
_DEEPER = re.compile(r"^(?:docker|podman) compose\b")
#: What only asks a program about itself.
_ASKS = re.compile(r"\s(?:--?h(?:elp)?|--?V|--version)\b")
#: What may stand before the program, and is not it.
_BEFORE = re.compile(r"^(?:sudo(?: -\S+)*|time|nohup|env|[A-Z_][A-Z0-9_]*=\S*)\s+")
#: Programs that are asked for another thing each time: only the whole command is the same again.
_EACH_ITS_OWN = re.compile(
    r"^(?:\S*/)?(?:pip[\d.]*|python[\d.]* -m pip|apt(?:-get)?|conda|mamba|uv|npm|snap|dpkg|git|wget"
    r"|curl|docker (?:pull|load|run|exec)|dkms|modprobe|insmod|systemctl|ls|cat|cp|mv|rm|cd|export"
    r"|source|\.|echo|grep|sed|nano|vim?|chmod|chown|mkdir|make)\b"
)
#: What shows the log of somebody who is named: that of another is no second try.
_SHOWS_A_LOG = re.compile(
    r"(?:(?:docker|podman)(?: compose| container)?|docker-compose|kubectl|k3s kubectl) logs\b"
    r"|kubectl describe\b|journalctl\b|systemctl status\b"
)
#: Programs that bring packages, that run containers, and that fetch files.
_PACKAGES = re.compile(
    r"(?:\S*/)?(?:pip[\d.]*|python[\d.]* -m (?:pip|venv)|uv|pipx|conda|mamba|poetry|npm)\b"
)
_ENGINES = re.compile(r"(?:docker|podman|docker-compose)\b")
_OF_CONTAINERS = re.compile(
    r"docker|podman|compose|containerd|^(?:dmesg|journalctl|ausearch|systemctl|cat|tail|less|getenforce)\b"
)
_FETCHES = re.compile(r"(?:git (?:clone|pull|fetch)|wget|curl|scp|rsync|gdown)\b")
#: Programs that ask the card or load its driver, and need nothing of these. The kernel's log may
#: say why any of them failed.
_OF_THE_CARD = re.compile(
    r"hailortcli (?:scan|fw-control|fw-config|sensor-config|monitor)|lsmod|lspci"
    r"|(?:/sbin/)?modprobe|insmod"
)
#: And those that use the card, with files that are there already.
_USES_THE_CARD = re.compile(r"hailortcli|gst-launch-1\.0|rpicam-\w+|libcamera-\w+")
#: What a command is about: the networks that it names, by the last part of their paths.
_SUBJECT = re.compile(r"([^\s/\\=\"',]+\.(?:hef|onnx|har|tflite|pth?|ckpt|alls))(?![\w.])")
_ZOO = re.compile(r"hailomz \w+ ([a-z]\w*)")
_SPACES = re.compile(r"\s+")
#: What HailoRT writes into its log once it has opened a device, with the number of the thread.
_LOGGED = re.compile(
    r"^.{0,60}?\[(?P<thread>\d+)\] \[HailoRT\] \[info\] \[device\.cpp:\d+\] \[Device\] "
    r"OS Version: "
)
#: And where it reads a HEF, which is the first that most programs do, before they open a device.
_READS_HEF = re.compile(
    r"^.{0,60}?\[(?P<thread>\d+)\] \[HailoRT\] \[error\] \[(?:file_utils|hef)\.cpp:\d+\] "
)
_THREAD = re.compile(r"^.{0,60}?\d\] \[(?P<thread>\d+)\] \[HailoRT\] \[")
#: What every line of it has.
LOGGED = "] [HailoRT] ["
#: Stands for the command where a log of HailoRT begins another run; no command has this name.
_RUN = "\0hailort"
#: So far reaches what HailoRT writes before a message.
LONGEST_STAMP = 100
#: Commands that are remembered.
MOST = 512


def prompt_of(line: str) -> re.Match[str] | None:
    """Return the prompt and the ``command`` of a line in which somebody typed one."""
    return PROMPT.match(line) if any(sign in line for sign in _SIGNS) else None


def _typed(command: str) -> str:
    """Return a command without what may stand before its program."""
    while (before := _BEFORE.match(command)) is not None:
        command = command[before.end() :]
    return command


def host_of(line: str) -> str:
    """Return the host that the prompt of ``line`` names, the same for all unnamed containers."""
    match = _HOST.match(line)
    host = (match["host"] or match["alone"]).lower() if match is not None else ""
    return "container" if _UNNAMED.match(host) else host


def _subject(command: str) -> frozenset[str]:
    """Return the networks that a command names."""
    return frozenset(_SUBJECT.findall(command)) or frozenset(_ZOO.findall(command))


def _name(command: str) -> str:
    """Return what makes two commands the same one: program and verb, or all of it."""
    command = _typed(command)
    words = _SPACES.split(command.strip())
    if _EACH_ITS_OWN.match(" ".join(words)):
        return " ".join(words)
    if _ASKS.search(command):
        return ""
    # An option may stand before the script (`python3 -u detect.py`).
    named = [word for word in words if not word.startswith("-")]
    if _SHOWS_A_LOG.match(" ".join(named)):
        ends = next((at for at, word in enumerate(named) if word in {"|", "2>&1", ">"}), None)
        return " ".join(word for word in named[:ends] if not word.isdigit())
    return " ".join(named[: 3 if _DEEPER.match(" ".join(named)) else 2])


class Session:
    """Takes in the lines of a log; tells which of them were printed by an attempt before."""

    def __init__(self) -> None:
        self._first: list[int] = []
        self._names: list[str] = []
        self._commands: list[str] = []
        #: Where each was typed, as far as its prompt says.
        self._hosts: list[str] = []
        #: Containers that were entered, and the hosts that they were entered from.
        self._entered: dict[str, str] = {}
        #: The last command has printed something; nobody asks that before the first.
        self.spoke = True
        #: The thread that began the run, in a log of HailoRT.
        self._thread: str | None = None

    def wants(self, line: str) -> bool:
        """Tell whether a line of HailoRT's log may begin a run, without a prompt in it."""
        return LOGGED in line and (not self._first or "[error]" in line[:LONGEST_STAMP])

    def feed(self, number: int, line: str) -> None:
        """Take in one line, without colours."""
        opens = _LOGGED.match(line)
        logged = opens or _READS_HEF.match(line)
        if logged is None and not self._first and LOGGED in line[:LONGEST_STAMP]:
            # The log begins within a run.
            logged = _THREAD.match(line)
        line = strip_prefix(line)
        prompt = PROMPT.match(line)
        # A thread that goes on to a device, or to a second one, still belongs to the same run.
        begins = logged is not None and logged["thread"] != self._thread
        if prompt is None and not begins:
            self.spoke = self.spoke or bool(line.strip())
            return
        if logged is not None:
            self._thread = logged["thread"]
        if len(self._first) >= MOST:
            del self._first[0], self._names[0], self._commands[0], self._hosts[0]
        if self._first and not self.spoke:
            # Nothing is known of a command that printed nothing.
            self._names[-1] = ""
        host = "" if prompt is None else host_of(line)
        if self._first and host != self._hosts[-1] and _ENGINES.match(self._commands[-1]):
            self._entered[host] = self._hosts[-1]
        self._first.append(number)
        self._names.append(_RUN if prompt is None else _name(prompt["command"]))
        self._commands.append("" if prompt is None else _typed(prompt["command"]))
        self._hosts.append(host)
        # What HailoRT says of a HEF is a message itself.
        self.spoke = prompt is None and opens is None

    def _run_of(self, number: int) -> int:
        return bisect_right(self._first, number) - 1

    def again(self, number: int, *, network: bool) -> tuple[int, int] | None:
        """Return first and last line of the last time that the command which printed line
        ``number`` ran again, ``None`` where it did not, or printed nothing then. With ``network``
        it is another command where it names another network."""
        run = self._run_of(number)
        if run < 0 or not self._names[run]:
            return None
        last = len(self._names) - (1 if self.spoke else 2)
        for later in range(last, run, -1):
            if self._names[later] == self._names[run] and not (
                (network and self._differ(run, later)) or self._apart_hosts(run, later)
            ):
                end = self._first[later + 1] - 1 if later + 1 < len(self._first) else 1 << 60
                return self._first[later], end
        return None

    def _differ(self, run: int, other: int) -> bool:
        """Tell whether two commands name networks, and none that both name."""
        one, two = _subject(self._commands[run]), _subject(self._commands[other])
        return bool(one and two) and not one & two

    def same_run(self, number: int, other: int) -> bool:
        """Tell whether one command printed lines ``number`` and ``other``."""
        return self._run_of(number) == self._run_of(other)

    def same_logged(self, number: int, other: int) -> bool:
        """Tell whether both lines are of one run in a log of HailoRT."""
        run = self._run_of(number)
        return run >= 0 and self._names[run] == _RUN and run == self._run_of(other)

    def of_another(self, number: int, other: int) -> bool:
        """Tell whether lines ``number`` and ``other`` are of commands about other networks."""
        run, later = self._run_of(number), self._run_of(other)
        return min(run, later) >= 0 and self._differ(run, later)

    def _apart_hosts(self, run: int, other: int) -> bool:
        one, two = self._hosts[run], self._hosts[other]
        return bool(one and two) and one != two

    def elsewhere(self, number: int, other: int) -> bool:
        """Tell whether line ``other`` was printed on another host than line ``number``, and not
        in a container that was entered there."""
        run, later = self._run_of(number), self._run_of(other)
        if min(run, later) < 0 or not self._apart_hosts(run, later):
            return False
        return self._entered.get(self._hosts[later]) != self._hosts[run]

    def apart(self, number: int, later: int) -> bool:
        """Tell whether the command that printed line ``later`` needs nothing of what the one
        that printed line ``number`` would have brought."""
        run, other = self._run_of(number), self._run_of(later)
        if not 0 <= run < other:
            return False
        first, second = self._commands[run], self._commands[other]
        if _ENGINES.match(first):
            return second != "" and _OF_CONTAINERS.search(second) is None
        if _OF_THE_CARD.match(second):
            return (_PACKAGES.match(first) or _FETCHES.match(first)) is not None
        return _PACKAGES.match(first) is not None and _USES_THE_CARD.match(second) is not None
