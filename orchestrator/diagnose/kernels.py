"""Compares the kernel that runs with the folders of modules that a post lists.

Each is nothing alone. Together they show that another kernel was started than the one whose modules
are there, for which the driver of a card, of the network or of a file system cannot be loaded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_RELEASE = r"\d+\.\d+(?:\.\d+)?(?:[\w.+~-]*[\w+])?"
#: What `uname`, the loader of modules and people say of the kernel that runs.
_ASKED = re.compile(r"\buname -\w*[ra]\w*\W*$")
_BARE = re.compile(rf"^\W*(?:linux \S+ )?(?P<kernel>{_RELEASE})(?=\W*$| #\d)")
_RUNS = re.compile(
    rf"\buname -r\W{{1,5}}(?:(?:reports?|says?|gives?|shows?|returns?|prints?|is)\b\W{{0,3}})?"
    rf"(?P<uname>{_RELEASE})(?=[.,;:)]*(?:\s|$))"
    rf"|\bnot found in directory /lib/modules/(?P<module>{_RELEASE})\W*$"
    rf"|/lib/modules/(?P<dep>{_RELEASE})/modules\.dep"
    rf"|\b(?:running|current) kernel(?: is| version)?:? (?P<running>{_RELEASE})(?=[.,;:)]*(?:\s|$))"
    rf"|\bthe kernel (?:is|seems to be|has been|was)(?: now)?(?: (?:upgraded|updated) to)? "
    rf"(?P<told>{_RELEASE})(?=[.,;:)]*(?:\s|$))"
)
#: A listing of the folders of modules, by a command or in somebody's words.
_LISTS = re.compile(r"\b(?:ls|dir)(?: -\S+)* (?:/usr)?/lib/modules/?\W*$")
_TOTAL = re.compile(r"^\S+ \d+(?:\.\d+)?[kmg]?$")
_FOLDER = re.compile(r"^d[rwxst-]{9}\S? .* (?P<name>\S+)$")
_NAME = re.compile(rf"{_RELEASE}/?$")
_TOLD = re.compile(
    rf"/lib/modules/?(?=[\s(:=])(?: (?:only|just)\b)?\W{{1,5}}"
    rf"(?:(?:only )?(?:contains?|has|holds|lists|shows|there is)\b(?: only)?\W{{0,3}}"
    rf"|is (?:that |the one )?(?:of|for) )?"
    rf"(?P<names>{_RELEASE}(?:(?:,? and |[, ]+){_RELEASE})*)(?=[.,;:)]*(?:\s|$))"
    rf"|\bonly (?:directory|folder) (?:in|inside|under|below)(?: of)? (?:/usr)?/lib/modules/?"
    rf" is (?:that of |for |the one of )?(?P<only>{_RELEASE})(?=[.,;:)]*(?:\s|$))"
)
_STARTED = re.compile(r"[$#] (?:sudo )?(?:reboot|shutdown -r|systemctl reboot)\b|^-- (?:re)?boot\b")
#: That a module is missed, or what only a module does.
_MISSED = re.compile(
    r"\b(?:modprobe|insmod|lsmod|depmod|dkms)\b|(?<!lib/)\bmodules?\b|\bheaders?\b"
    r"|/lib/modules/\S+/build\b|\bdrivers?\b|\bkernel (?:version )?mismatch\b"
)
#: Kernels of a PC, and of a Raspberry Pi.
_OF_A_PC = re.compile(r"-(?:generic|amd64|azure|aws|gcp|lowlatency|pve)$")
_OF_A_PI = re.compile(r"rpi|rpt|raspi|v[678]l?\+?$|\d\+$")
#: Kernels of hosts, whose modules no guest holds.
_OF_A_HOST = ("microsoft", "linuxkit", "truenas", "unraid", "synology", "qnap")
#: One of these is in each line that matters here.
_SIGNS = (
    "module",
    "uname",
    "kernel",
    "boot",
    "shutdown",
    "probe",
    "mod ",
    "dkms",
    "header",
    "driver",
)
#: All that a line must hold to be told from the others.
PATTERNS = (_RUNS, _LISTS, _TOLD, _ASKED, _STARTED, _MISSED)


@dataclass
class Kernels:
    """Takes in lines, and answers what kernel runs and of which there are modules."""

    runs: str = ""
    there: list[str] = field(default_factory=list)
    #: The machines at whose prompts both were shown.
    _at: dict[str, str] = field(default_factory=dict)
    _asked: bool = False
    _lists: bool = False
    _missed: bool = False

    @property
    def waits(self) -> bool:
        """Whether the next line may be an answer to what was asked."""
        return self._asked or self._lists

    def feed(self, lower: str, host: str) -> None:
        """Take in one folded line in small letters, at the prompt of ``host``."""
        if not (self.waits or any(sign in lower for sign in _SIGNS)):
            return
        if _STARTED.search(lower):
            self.runs, self.there = "", []
        if _MISSED.search(lower):
            self._missed = True
        bare = _BARE.match(lower) if self._asked else None
        if self._lists and not _LISTS.search(lower):
            self._list(lower)
        self._asked = _ASKED.search(lower) is not None
        if bare:
            self._take("runs", bare["kernel"], host)
        if shown := _RUNS.search(lower):
            self._take("runs", next(filter(None, shown.groups())), host)
        if _LISTS.search(lower):
            self._lists, self.there = True, []
            self._at["there"] = host
        elif told := _TOLD.search(lower):
            self.there = re.findall(_RELEASE, told["names"] or told["only"])
            self._at["there"] = host

    def _take(self, what: str, kernel: str, host: str) -> None:
        self.runs = kernel
        self._at[what] = host

    def _list(self, lower: str) -> None:
        """Take in a line below a command that lists the folders."""
        if folder := _FOLDER.match(lower):
            names = [folder["name"]] if folder["name"] not in {".", ".."} else []
        elif not lower.strip(" `") or (_TOTAL.match(lower) and not self.there):
            self._lists = not self.there
            return
        else:
            names = lower.split()
            if not all(map(_NAME.match, names)):
                self._lists = False
                return
        self.there += [name.rstrip("/") for name in names if _NAME.match(name)]

    @property
    def differ(self) -> bool:
        """Whether there are no modules for the kernel that runs, and for others there are."""
        if not self.runs or not self.there or any(one in self.runs for one in _OF_A_HOST):
            return False
        if len({self._at.get("runs", ""), self._at.get("there", "")} - {""}) > 1:
            return False
        # People leave the end of a release out.
        return not any(one.startswith(self.runs) or self.runs.startswith(one) for one in self.there)

    @property
    def missed(self) -> bool:
        """Whether the post speaks of modules, or of what wants one, and both may be of one
        machine: a PC's kernel beside a Pi's modules is of two."""
        of_pc = _OF_A_PC.search(self.runs) is not None
        return self._missed and not (of_pc and all(map(_OF_A_PI.search, self.there)))
