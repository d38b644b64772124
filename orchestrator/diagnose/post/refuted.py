"""Tells what a later line of the same paste refutes, and what was ended on purpose.

Somebody lists a device's node and it is not there, loads the driver and lists it again; a module is
not found, is installed, and is imported. What is there by a later look was missing only then. A
program that its writer killed says "Killed", as one that the system ended for want of memory does;
and the kernel's log keeps for weeks that it ended another program.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

from orchestrator.diagnose.post.reported import is_prose
from orchestrator.diagnose.post.session import host_of, prompt_of
from orchestrator.diagnose.words.text import holding

#: Something is not there, by a shell's look at it or by what wants to open it.
_MISSING = re.compile(
    r"^(?:\S+: )?(?:cannot (?:access|stat|open)|can['\u2019]t (?:access|stat|open)) ['\"\u2018]?"
    r"(?P<seen>/[^\s'\"\u2019:]+)['\"\u2019]?: No such file"
    r"|^ls: (?P<listed>/[^\s:]+): No such file"
    r"|[Ff]ailed to open device file ['\"]?(?P<opened>/dev/[^\s'\"]+)['\"]? with error 2\b"
)
#: The same is there: listed alone, or with its rights.
_THERE = re.compile(r"^(?:[-bcdlps][rwxsStT-]{9}\S?\s.*\s)?(?P<path>/[^\s:'\"]+)(?: -> \S+)?\s*$")
#: A longer line is none that a person wrote, nor one of the kernel's.
_LONGEST = 2000
_NODES = ("/dev/hailo", "/dev/h1x")
#: A module of the kernel that cannot be loaded, and the same one in `lsmod`.
_NOT_LOADED = re.compile(
    r"^modprobe: (?:FATAL: Module|ERROR: could not insert(?: module)?) '?(?P<module>[\w-]+)"
)
_LOADED = re.compile(r"^(?P<module>\w+)\s+\d{4,}\s+\d+(?:\s|$)")
#: Commands that only look, and say plainly where they find nothing.
_LOOKS = re.compile(
    r"^(?P<python>\S*python[\d.]*)\s.*-c\s+['\"].*?\b(?:import|from) (?P<module>\w+).*"
    r"|^(?:docker|podman) (?:ps|info|images|version)\b.*|^gst-inspect-1\.0 (?:-\S+ )?\w+"
    r"|^hailortcli (?:scan|fw-control identify)\b.*|^nvidia-smi\b.*"
)
_FAILS = re.compile(
    r"\b(?:error|fail\w*|cannot|could not|unable|denied|refused|not found|no such|\w*Error"
    r"|\w*Exception|Traceback|HAILO_(?!SUCCESS)\w+)\b",
    re.IGNORECASE,
)
#: It comes and goes: that it went well once is no end of it.
_COMES_AND_GOES = re.compile(
    r"\b(?:sometimes|random(?:ly)?|intermittent\w*|sporadic\w*|occasional\w*|every (?:other"
    r"|second|few|time)|now and then|from time to time|manchmal|parfois|a veces|\u00e0s vezes"
    r"|after a (?:while|few)|until (?:the|i|next|it)\b|comes? and go|on and off)",
    re.IGNORECASE,
)
#: All that a shell says of a program that was ended by force.
_KILLED = re.compile(r"^\W{0,3}(?:\[\d+\]\+?\s+)?Killed(?:\s.{0,80})?$")
#: The writer did it: the program is "it", or is named by what it is.
_I_KILLED = re.compile(
    r"\b(?:I|we) (?:(?:have|had|need(?:ed)?) to |must |can only |then |just |finally |always |did "
    r"|end up |ended up )*kill(?:ed|ing)?(?: -9)? (?:it|this|that|them|both"
    r"|(?:the|my|this) (?:\w+ ){0,2}?(?:program|process|script|run|job|pipeline|compil\w+"
    r"|optimi[sz]\w+|app|application|terminal))\b",
    re.IGNORECASE,
)
_KILLS = re.compile(r"^(?:sudo )?(?:p?kill|killall) .*-(?:9|s?kill)\b", re.IGNORECASE)
#: What the kernel says of the program that it ends for want of memory, and around that.
_VICTIM = re.compile(
    r"out of memory: kill\w* process \d+,? \(?(?P<one>[\w.+-]+)"
    r"|oom-kill:.*\btask=(?P<two>[\w.+-]+)",
    re.IGNORECASE,
)
#: One of these is in each such line.
_OOM_SIGNS = ("out of memory: kill", "oom-kill", "oom_reaper", "invoked oom")
_OOM = re.compile(r"out of memory: kill|oom-kill|oom_reaper|invoked oom", re.IGNORECASE)
#: Programs that are the story itself, or a part of what it runs.
_OURS = re.compile(
    r"hailo|python|yolo|onnx|gst|rpicam|libcamera|[ug]vicorn|ollama|frigate|viseron|ffmpeg|docker"
    r"|containerd|qemu|cc1|c\+\+|g\+\+|gcc|clang|ld$|make|ninja|cmake|cargo|rustc|pip|conda|jupyter"
    r"|ipykernel|tf_|tensorflow",
    re.IGNORECASE,
)
_ENDED = re.compile(r"\b137\b|\bsignal:? 9\b|\bSIGKILL\b|^\W*Killed\b", re.IGNORECASE)
#: A command that runs on another machine, or in a container; and words of a paste that has both.
_AWAY = re.compile(
    r"^(?:sudo )?(?:ssh|adb|docker|podman|kubectl|lxc|pct|docker-compose|wsl|chroot|distrobox)\b.*"
)
_SEVERAL = re.compile(
    r"\bcontainer|\bdocker|\bpod(?:man|s)?\b|\blxc|\bguest\b|\bhosts?\b|\bvms?\b|proxmox|\bwsl"
    r"|\badd-?on|compose|kubectl|\bssh\b|\b(?:other|second|another|both) (?:pi|pc|machine|board)",
    re.IGNORECASE,
)
#: Another system, another time or somebody else's: what is there then is not there with this one.
_OTHER_SYSTEM = re.compile(
    r"\b(?:old|older|other|second|another|previous|original|new|newer|fresh) (?:micro ?)?(?:sd )?"
    r"(?:card|image|kernel|disk|ssd|os|system|install(?:ation)?)\b"
    r"|\byesterday\b|\blast (?:week|month|night)\b|\bbefore the (?:update|upgrade)\b"
    r"|\bcolleague",
    re.IGNORECASE,
)
#: What a person ends that takes memory, and is not what the post asks about.
_OTHER_PROGRAM = re.compile(
    r"\b(?:chrom\w+|browser|firefox|vs ?code|desktop|ollama|jupyter|notebook"
    r"|other (?:program|process)\w*)\b"
    r".*\bkill\w*(?: -9)? (?:it|this|that|them|both)\b",
    re.IGNORECASE,
)
#: It leaves an environment: what is imported then is not there within.
_LEAVES = re.compile(r"^(?:conda |mamba )?deactivate\b|^exit\b")
#: So many things that are missing are remembered.
_MOST = 64
#: Somebody tells of a message that does not come any more.
_COMES_NO_MORE = re.compile(
    r"\bno longer (?:prints?|says?|shows?|reports?|logs?|gives?|throws?|raises?|complains?|appears?"
    r"|get|see)\b(?!.*\b(?:but|instead|however)\b)",
    re.IGNORECASE,
)
#: The kernel cuts the names of programs to so many signs.
_SHOWN = 15


def is_refuted(lines: list[str]) -> tuple[set[int], set[int]]:
    """Return the numbers of the lines that a later one refutes or that were meant, and of those
    that may be."""
    there, opened = _there_after_all(lines)
    there |= _asked_again(lines)
    if there or opened:
        if any(_COMES_AND_GOES.search(line) or _is_other_system(line) for line in lines):
            there, opened = set(), set()
        elif any(_SEVERAL.search(line) for line in lines):
            # Only a prompt that names its machine tells then where it was looked.
            named = _named(lines)
            there, opened = there & named, opened & named
    killed, doubted = _killed_by_hand(lines)
    gone = {
        number
        for number, line in enumerate(lines)
        if len(line) < _LONGEST and _COMES_NO_MORE.search(line)
    }
    return there | killed | gone, opened | doubted | _of_another_program(lines)


def _is_other_system(line: str) -> bool:
    return is_prose(line) and _OTHER_SYSTEM.search(line) is not None


def _there_after_all(lines: list[str]) -> tuple[set[int], set[int]]:
    """Return the lines by which something is not there that a later look on the same machine
    finds: those of a shell, and those of programs, which may have come too early."""
    missing: list[tuple[int, str, str, bool]] = []
    looked: set[int] = set()
    opened: set[int] = set()
    host, typed, left = "", -1, 0
    for number, line in enumerate(lines):
        prompt = prompt_of(line)
        if prompt is not None:
            host, typed = f"{_place(line)} {left}", number
            # A container that shares its host's network has its name, too.
            left += prompt["command"].strip() in {"exit", "logout"}
            if "insmod " in prompt["command"]:
                # By its file: modprobe still does not find it by its name.
                missing = [one for one in missing if one[2].startswith("/")]
        elif "o such file" in line or "with error 2" in line:
            if (found := _MISSING.search(line)) is not None:
                path = found["seen"] or found["listed"] or found["opened"]
                missing.append((number, host, path, found["opened"] is None))
        elif line.startswith("modprobe: "):
            if (absent := _NOT_LOADED.match(line)) is not None:
                missing.append((number, host, absent["module"].replace("-", "_"), True))
        elif missing and (name := _shown(line)):
            for at, where, path, by_shell in missing[-_MOST:]:
                # A card has one of two names for its node; one look asks for both.
                other = at > typed and path.startswith(_NODES) and name.startswith(_NODES)
                if where == host and (other or fnmatchcase(name, path)):
                    (looked if by_shell else opened).add(at)
    return looked, opened


def _shown(line: str) -> str:
    """Return the path or the module that ``line`` lists as being there, else nothing."""
    seen = _THERE.match(line.strip()) if "/" in line else None
    loaded = _LOADED.match(line)
    return seen["path"] if seen is not None else loaded["module"] if loaded is not None else ""


def _place(line: str) -> str:
    """Return where the command in ``line`` runs, as far as its prompt or the command says."""
    prompt = prompt_of(line)
    away = _AWAY.match(prompt["command"]) if prompt is not None else None
    return host_of(line) if away is None else f"{host_of(line)} {away[0]}"


def _named(lines: list[str]) -> set[int]:
    """Return the lines that a command printed whose prompt names its machine."""
    named: set[int] = set()
    inside = False
    for number, line in enumerate(lines):
        if prompt_of(line) is not None:
            inside = host_of(line) != ""
        elif inside:
            named.add(number)
    return named


def _asked_again(lines: list[str]) -> set[int]:
    """Return what a command that only looks said where the same one, typed again in the same
    place, finds what it looks for."""
    over: set[int] = set()
    failed: dict[tuple[str, str], list[int]] = {}
    asked: tuple[str, str] | None = None
    printed: list[int] = []
    for number, line in enumerate([*lines, "$ end"]):
        prompt = prompt_of(line)
        if prompt is None:
            if asked is not None and line.strip():
                printed.append(number)
            continue
        if asked is not None and printed:
            # What a person writes apart from it tells nothing of the command.
            said = [at for at in printed if lines[at - 1].strip() or not is_prose(lines[at])]
            if any(_FAILS.search(lines[at]) for at in said):
                failed.setdefault(asked, []).extend(printed)
            elif said:
                over.update(failed.pop(asked, ()))
        if _LEAVES.match(prompt["command"].strip()):
            failed.clear()
        looks = _LOOKS.match(prompt["command"])
        if looks is None:
            asked = None
        else:
            what = f"{looks['python']} {looks['module']}" if looks["module"] else looks[0]
            asked = (line[: prompt.start("command")].strip(), what)
        printed = []
    return over


def _killed_by_hand(lines: list[str]) -> tuple[set[int], set[int]]:
    """Return the lines that say no more than "Killed" where the writer says that it was them, and
    where somebody typed a command that does it."""
    killed = {number for number, line in enumerate(lines) if _KILLED.match(line)}
    if not killed:
        return set(), set()
    if any(
        prompt_of(line) is None and _I_KILLED.search(line) and not _OTHER_PROGRAM.search(line)
        for line in lines
    ):
        return killed, set()
    typed = (prompt_of(line) for line in lines)
    if any(one is not None and _KILLS.match(one["command"]) for one in typed):
        return set(), killed
    return set(), set()


def _of_another_program(lines: list[str]) -> set[int]:
    """Return what the kernel's log says of memory that ran out, where it ended programs only that
    nothing else in the paste speaks of."""
    told = {
        number: line for number, line in holding(lines, _OOM_SIGNS, _LONGEST) if _OOM.search(line)
    }
    victims = {
        (one["one"] or one["two"])[:_SHOWN].lower()
        for line in told.values()
        if (one := _VICTIM.search(line)) is not None
    }
    if not victims or any(_OURS.search(name) for name in victims):
        return set()
    for number, line in enumerate(lines):
        if number in told or line.lstrip().startswith("["):
            continue
        if _ENDED.search(line) or any(name in line.lower() for name in victims):
            return set()
    return set(told)
