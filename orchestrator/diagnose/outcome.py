"""Decides whether a log tells of a run that ended well, failed, or was cut off.

The exit code is not to be trusted (several of the worst failures leave with 0), and neither is
the absence of errors: only the last words of a tool count as a good end, and only when nothing
was begun after them. A log that stops early is therefore never ``ok``.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from orchestrator.diagnose.survived import MENDED, installed, mended_by, package_of
from orchestrator.diagnose.traits import FETCHES
from orchestrator.diagnose.words.text import REMEMBERED

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from orchestrator.diagnose.finding import Outcome

#: Order of the work: a good end of one stage also answers for what went wrong before it.
ORDER = ("setup", "docker", "export", "parse", "calibrate", "optimize", "compile", "ship", "run")
#: Failures that are remembered beside the last one.
MOST_FORMER = 64

_SPACES = re.compile(r"[ \t]{2,}")
_COMMAND = re.compile(
    r"(?:^|[$#>] ?|running `?|command:? |\b(?:python3?|bash|sh|exec|time|nohup|sudo) (?:-\S+ )*)"
    r"(?P<tool>(?:\S*/)?(?:hailomz|hailo|hailortcli))\s+(?P<verb>parser?|optimize|compiler?"
    r"|profiler?|eval|run2?|benchmark|scan|fw-control|parse-hef)\b"
)
#: Stage that a command of the vendor's tools begins.
_VERBS = {
    "parser": "parse", "parse": "parse", "optimize": "optimize", "compiler": "compile",
    "compile": "compile", "run": "run", "run2": "run", "benchmark": "run", "scan": "run",
    "fw-control": "run", "parse-hef": "run", "eval": "run",
}  # fmt: skip
_STARTS = (
    ("export", re.compile(r"^(?!.*\bfail)[a-z][\w ]{2,30}: starting export with\b")),
    ("parse", re.compile(r"translation started on|retrying (?:the )?pars")),
    ("optimize", re.compile(r"start(?:ing|ed) (?:the )?model (?:optimi[sz]|quanti[sz])ation")),
    (
        "optimize",
        re.compile(
            r"\[info\] starting (?:mixed precision|layernorm|statistics|fix zp|matmul|equali"
            r"|adaround|quantization|bias correction|layer noise|fine|zero|softmax|create mixed)"
        ),
    ),
    (
        "compile",
        re.compile(
            r"start(?:ing|ed) (?:the )?(?:hailo )?allocation|building (?:the )?hef"
            r"|to achieve optimal performance, set the compiler_optimization_level"
        ),
    ),
    ("run", re.compile(r"running (?:streaming|hw.only) inference|starting measurements")),
)
_ENDS = (
    ("parse", re.compile(r"translation (?:is )?(?:completed|done|finished)")),
    (
        "optimize",
        re.compile(r"model (?:optimi[sz]|quanti[sz])ation (?:is )?(?:done|completed|finished)"),
    ),
    (
        "compile",
        re.compile(r"success(?:ful|fully)? compil|compilation (?:was )?(?:successful|succeeded)"),
    ),
)
_SAVED_HAR = re.compile(
    r"(?:saved|written|wrote).{0,20}\bhar\b|\bhar (?:file )?(?:was )?(?:saved|written)"
)
_SAVED_HEF = re.compile(
    r"\bhef(?: file)? (?:was )?(?:written|saved)"
    r"|(?:saved|wrote|written|saving)\s(?:the )?(?:model |file |hef )?.{0,20}\bhef\b"
    r"|(?:saved|written) (?:to|as|in):? \S+\.hef\b"
)
#: What rpicam-apps says of each picture of its preview.
_PREVIEW = re.compile(r"^\s*#\d+ \(")
_GOOD_ENDS = (
    (
        "run",
        re.compile(
            r"^\s*(?:latency|fps)\s*\((?:hw|hw_only|overall)\)\s*=|\(streaming\)\s*=\s*[\d.]+"
        ),
    ),
    # The compiler's core says so in a log of its own, where no tool writes of files.
    ("compile", re.compile(r"^(?:\[default\] )?\[info\] builder successful$")),
    ("run", re.compile(r"^\s*(?:hw latency|overall latency|recv rate)\s*:")),
    ("run", re.compile(r"^\s*[\w./-]+: fps: [\d.]+\s*$")),
    # Pictures come out: of Hailo's GStreamer examples, of rpicam-apps.
    ("run", re.compile(r"^\s*fps measured: (?!0+\.?0*\b)[\d.]+|^\s*#\d+ \((?!0\.0)[\d.]+ fps\)")),
    ("identify", re.compile(r"device architecture\s*:\s*\S+")),
    ("scan", re.compile(r"^\s*\[-\] device:\s*\S+")),
    ("inspect", re.compile(r"^\s*output\s+\S+\s+(?:u?int|float)\d+,")),
    (
        "docker",
        re.compile(
            r"^loaded image(?: id)?:|^successfully (?:built|tagged) \S+:?\S*$|naming to \S+ done"
        ),
    ),
    ("pip", re.compile(r"^successfully installed ")),
    ("export", re.compile(r"export (?:success|complete)")),
    # A training, which comes before the export and answers for all that went before it.
    (
        "export",
        re.compile(
            r"^\d+ epochs completed in [\d.]+ hours|^results saved to \S*\bruns/"
            r"|trainer\.fit\W* stopped: \W*max_(?:epochs|steps)"
        ),
    ),
    # The Model Zoo's evaluation, which tells what it measured.
    (
        "optimize",
        re.compile(
            r"(?:^|> ?)done \d+ images\b"
            r"|(?:^|> ?)done\b.{0,40}?\b(?:m?ap|top-?1|miou|accuracy|acc)\w* ?[=:] ?\d"
        ),
    ),
    ("ship", re.compile(r"\.hef\s+100%\s")),
)
#: Somebody ended it from the keyboard: the terminal's own sign, and what programs say of it.
_STOPPED = re.compile(
    r"^\s*\^c|^\s*keyboardinterrupt:?\s*$|\b(?:received|caught|got) (?:signal )?sigint\b"
    r"|^(?:\[default\] \[info\] )?\W*(?:interrupted|stopped|cancelled|aborted)"
    r" (?:by|from) (?:the )?(?:user|keyboard)\b"
)
_EXIT = re.compile(
    r"(?:exit(?:ed|ing)?|return(?:ed)?|finished|terminated|status|code|failed)\b[ (:=]*(?:with )?"
    r"(?:non-zero )?(?:the )?(?:exit )?(?:status|code|value)?[ :=]*\(?(-?\d{1,3})\)?"
    r"(?:\.|,|;|$|\s|\))"
)
_EXIT_WORDS = re.compile(r"exit|return(?:ed)? (?:code|non-zero)|(?:^|\W)rc\s*[=:]|_status\s*=")
_RC = re.compile(r"(?:(?:^|\W)rc\s*[=:]|_status\s*=)\s*(-?\d{1,3})\b")
_RAISED = re.compile(
    r"^\s*(?:[a-z_][\w]*\.)*(?:[A-Za-z_]*(?:Error|Exception)|[A-Za-z_]+(?:Interrupt|Timeout))"
    r"(?:\s*:|\s*$|\s*\()"
)
_HARD = re.compile(
    r"\[error\].*(?:mapping failed|failed to produce|exception|compilation failed|error:)"
    r"|mapping failed|core dumped|segmentation fault|^\s*killed\b|\baborted\b.*\bsignal"
    r"|signal \d+ \(abort|\[hailort(?: cli)?\] \[(?:error|critical)\]|error response from daemon"
    r"|^\s*(?:fatal|e|dkms|dpkg|make)(?:\[\d+\])?\s?: (?:error|.*fail|\*\*\* .*error \d)"
    r"|^\s*[\w.-]+(?: [\w-]+)?: error: "
    r"|^\s*(?:scp|ssh|sftp|rsync): .*(?:fail|error|no such|denied|refused|closed|lost|timed out"
    r"|unreachable|no route|not found)|^\s*failed\s*:"
    r"|^\s*(?:aborted|abort trap|bus error|trace/breakpoint trap|floating point exception)\b"
    r"|^(?!.*critical \*\*).*\bassertion .{1,160} failed"
    r"|double free or corruption|corrupted double-linked list"
    r"|failed with status\s?=\s?hailo_|devices? not found|watchdog expired"
    r"|^(?!coreml)[a-z][\w .-]{1,40}: export failure"
)
#: What an answer of a card mends: that the card was not reached. It says nothing of a program,
#: of a HEF or of a crash; people show the card's name below the failure that they ask about.
_NOT_REACHED = re.compile(
    r"^(?!.*(?:\bhef\b|_hef\b|segmentation fault|core dumped))"
    r".*(?:device|driver|firmware|\bboard\b|pcie?\b|/dev/|service|permission|hailortcli"
    r"|\bcontrol\b|modprobe|insmod|dkms|dpkg|\bapt\b|\be: )",
    re.IGNORECASE,
)
#: What only asks a card or a file about itself: the answers, and the commands.
_ASKED = frozenset({"identify", "scan", "inspect"})
#: What HailoRT does before it reads a HEF, or does no more than that.
_ONLY_ASKED = frozenset({"answered", "opened"})
_ASKS = frozenset({"fw-control", "scan", "parse-hef"})
#: "error:" alone is how somebody heads what follows.
_SOFT = re.compile(r"^\s*(?:\[error\]|<hailo model zoo error>|error:(?=.*\w)|e: )")


_ZOO = re.compile(r"<hailo model zoo")
#: All that is looked for; a line that none of these matches tells nothing of an end.
PATTERNS = (
    _ZOO, _COMMAND, _STOPPED, _SAVED_HEF, _SAVED_HAR, _EXIT_WORDS, _RAISED, _HARD, _SOFT,
    *(pattern for _, pattern in (*_STARTS, *_ENDS, *_GOOD_ENDS, *MENDED)),
)  # fmt: skip


@lru_cache(maxsize=REMEMBERED)
def _kinds(bare: str) -> tuple[str, bool, bool, bool, bool, str | None]:
    """Return a line in small letters, whether it may speak of a command, an error, a stage (its
    end included), or an exit code, and what it mends; long logs say the same again and again."""
    lower = _SPACES.sub(" ", bare.lower())
    patterns = (*_STARTS, *_ENDS, *_GOOD_ENDS)
    return (
        lower,
        _COMMAND.search(lower) is not None,
        bool(_HARD.search(lower) or _RAISED.match(bare) or _SOFT.match(lower)),
        bool(_SAVED_HEF.search(lower) or _SAVED_HAR.search(lower))
        or any(pattern.search(lower) for _, pattern in patterns),
        _EXIT_WORDS.search(lower) is not None,
        mended_by(lower)
        or next((stage for stage, pattern in _GOOD_ENDS if pattern.search(lower)), None),
    )


@dataclass(slots=True)
class _Mark:
    line: int
    stage: str
    text: str | None = None
    #: The line, also where the catalogue recognised it.
    words: str = ""
    #: Whether a command failed that only asks.
    asked: bool = False


class OutcomeReader:
    """Follows beginnings and ends; :attr:`outcome` is always the verdict so far."""

    def __init__(self, elsewhere: Callable[[int, int], bool] | None = None) -> None:
        #: Tells of two lines that they were printed on two hosts; neither ends the other's failure.
        self._elsewhere = elsewhere or (lambda _one, _two: False)
        #: HailoRT failed since the program on libcamera was started.
        self._without_chip = False
        self._zoo = False
        self._command: str | None = None
        self._open: str | None = None
        self._success: list[_Mark] = []
        self._failure: _Mark | None = None
        #: The last failures before it, of the same run.
        self._former: deque[_Mark] = deque(maxlen=MOST_FORMER)
        self._soft: _Mark | None = None
        self._exit: int | None = None
        self._stage: str | None = None
        self._ended: str | None = None
        #: The last line that tells of a stop from the keyboard, and that of the last beginning.
        self._stopped = 0
        self._begun = 0
        self._mended: dict[str, int] = {}
        self._installed: dict[str, int] = {}

    @property
    def stage(self) -> str | None:
        """The stage that was worked on last, ``None`` where none was announced."""
        return self._stage

    @property
    def _stays(self) -> bool:
        """Whether the failure so far is one that stays when the card answers."""
        mark = self._failure
        if mark is None or mark.asked:
            return False
        words = mark.text or mark.words
        return bool(words) and _NOT_REACHED.search(words) is None

    @property
    def _format_failed(self) -> bool:
        """Whether the exporter said of its last format that it failed; it ends all the same."""
        text = self._failure.text if self._failure is not None else None
        return text is not None and ": export failure" in text

    def feed(self, number: int, bare: str) -> None:
        """Take in one line (cleaned, without prefix)."""
        lower, commands, errors, stages, exits, mended = _kinds(bare)
        if "[hailort] [error]" in lower:
            self._without_chip = True
        elif "camera_manager.cpp" in lower:
            self._without_chip = False
        if _STOPPED.search(lower):
            self._stopped = number
        elif self._stopped and lower.strip() == "aborted!":
            # Programs that are made with click say so of it.
            return
        if self._without_chip and _PREVIEW.match(lower):
            # The camera's pictures go on without the network.
            return
        if mended:
            self._mended[mended] = number
            if mended == "pip":
                self._installed.update(dict.fromkeys(installed(lower), number))
        if _ZOO.search(lower):
            self._zoo = True
        command = _COMMAND.search(lower) if commands else None
        if command:
            tool = command["tool"].rsplit("/", 1)[-1]
            self._command = f"{tool} {command['verb']}"
            if not (self._stays and command["verb"] in _ASKS):
                self._begin(
                    number,
                    "parse"
                    if "hailomz" in tool
                    else self._open or _VERBS.get(command["verb"], "setup"),
                )
        if errors or self._soft is not None:
            self._read_errors(number, bare, lower)
        if stages:
            self._read_stages(number, lower)
        if exits:
            self._read_exit(number, bare, lower)

    def _begin(self, number: int, stage: str) -> None:
        self._open = stage
        self._stage = stage
        self._begun = number
        self._get_over(number)
        self._exit = None
        self._ended = None

    def _read_stages(self, number: int, lower: str) -> None:
        for stage, pattern in _STARTS:
            if pattern.search(lower):
                self._begin(number, stage)
                return
        for stage, pattern in _ENDS:
            if pattern.search(lower):
                self._end(number, stage)
                return
        if _SAVED_HEF.search(lower):
            self._succeed(number, "compile")
        elif _SAVED_HAR.search(lower):
            self._saved_har(number)
        else:
            for stage, pattern in _GOOD_ENDS:
                if pattern.search(lower):
                    if not (self._format_failed and "export complete" in lower):
                        self._succeed(number, stage)
                    return

    def _end(self, number: int, stage: str) -> None:
        self._stage = self._ended = stage
        # hailomz and `hailo compiler` go on to write files; a script of the user's own has its
        # bytes now, and what it does with them is not in the vendor's words.
        writes = self._zoo or (self._command or "").endswith(("compile", "compiler"))
        if stage == "compile" and not writes:
            self._succeed(number, stage)

    def _saved_har(self, number: int) -> None:
        command = self._command or ""
        after_parse = command in {"hailo parser", "hailomz parse"}
        after_optimize = (
            command in {"hailo optimize", "hailomz optimize"} and self._ended == "optimize"
        )
        after_compile = command == "hailo compiler" and self._ended == "compile"
        # A script of the user's own saves what it asked for; what it begins next says so.
        of_a_script = not command and not self._zoo and self._ended in {"parse", "optimize"}
        if after_parse or after_optimize or after_compile or of_a_script:
            self._succeed(number, self._stage or "")

    def _succeed(self, number: int, stage: str) -> None:
        self._success.append(_Mark(number, stage))
        if len(self._success) > 64:
            del self._success[:32]
        self._open = None
        if not (self._stays and stage in _ASKED):
            self._get_over(number)
        self._soft = None
        if stage in ORDER:
            self._stage = stage

    def _get_over(self, number: int) -> None:
        """Let go the failures before line ``number``, unless they are another host's."""
        if self._failure is not None and not self._elsewhere(self._failure.line, number):
            self._failure = None
            self._former.clear()

    def fail(self, number: int, stage: str, words: str = "") -> None:
        """Note a failure that something else (the catalogue) recognised."""
        self._fails(_Mark(number, stage, words=words))

    def _fails(self, mark: _Mark) -> None:
        mark.asked = self._open is not None and (self._command or "").split(" ")[-1] in _ASKS
        if self._failure is not None:
            self._former.append(self._failure)
        self._failure = mark

    def take_back(self, number: int) -> None:
        """Forget a failure that the catalogue recognised in line ``number`` and then did not."""
        last = self._failure
        if last is not None and last.line == number and last.text is None:
            self._failure = None

    def forget(self, since: int) -> None:
        """Forget a failure of line ``since`` or later: what has printed it went well."""
        while self._failure is not None and self._failure.line >= since:
            self._failure = self._former.pop() if self._former else None
        if self._soft is not None and self._soft.line >= since:
            self._soft = None

    def _read_errors(self, number: int, bare: str, lower: str) -> None:
        if _HARD.search(lower) or _RAISED.match(bare):
            if "recoverable single context" not in lower and "warning" not in lower[:40]:
                self._fails(_Mark(number, self._stage or "", bare.strip()))
        elif _SOFT.match(lower) and "layer latency" not in lower:
            self._soft = _Mark(number, self._stage or "", bare.strip())
        elif self._soft is not None and lower.startswith(("[info]", "<hailo model zoo info>")):
            # The tool took note and went on.
            self._soft = None

    def _read_exit(self, number: int, bare: str, lower: str) -> None:
        if not _EXIT_WORDS.search(lower):
            return
        match = _RC.search(lower) or _EXIT.search(lower)
        if match is None:
            return
        code = int(match[1])
        self._exit = code
        if code != 0:
            self._fails(_Mark(number, self._stage or "", bare.strip()))

    @property
    def took_note(self) -> bool:
        """Whether a tool's error stands that its next information would take back."""
        return self._soft is not None

    @property
    def failed_at(self) -> tuple[int | None, str | None]:
        """Line number and words of the failure, if there is one."""
        mark = self._failure or self._soft
        return (mark.line, mark.text) if mark else (None, None)

    @property
    def stopped(self) -> bool:
        """Whether it was ended from the keyboard, and that is the last that is told of it."""
        begun = max((mark.line for mark in self._success), default=0)
        failed = self._failure.line if self._failure is not None else self._stopped
        return self._stopped == failed and self._stopped > max(begun, self._begun)

    @property
    def outcome(self) -> Outcome:
        """The verdict over what was read so far."""
        if self._failure is not None or self._soft is not None:
            return "failed"
        if self._open is not None:
            # Exit status 0 of a process whose stage ended, with nothing begun after it.
            return "ok" if self._exit == 0 and self._ended == self._open else "unknown"
        if self._success or self._exit == 0:
            return "ok" if self._success else "unknown"
        return "unknown"

    def went_well(self, first: int, last: int) -> bool:
        """Tell whether something says that it went well, from line ``first`` to ``last``."""
        mended = (line for name, line in self._mended.items() if name not in _ONLY_ASKED)
        said = [*(mark.line for mark in self._success), *mended]
        return any(first <= line <= last for line in said)

    def recovered(
        self,
        number: int,
        stage: str,
        ended_by: Collection[str] = (),
        module: str = "",
        of_another: Callable[[int, int], bool] | None = None,
        elsewhere: Callable[[int, int], bool] | None = None,
    ) -> bool:
        """Tell whether the run of ``stage`` ended well after line ``number``, or one of the steps
        ``ended_by``, or ``module`` was installed after it.

        ``of_another`` tells of two lines that they are about other networks; a good end of such a
        run is none of this one, and neither is what came of another host (``elsewhere``)."""
        apart = [one for one in (of_another, elsewhere) if one is not None]
        away = elsewhere or (lambda _one, _two: False)
        brought = self._installed.get(package_of(module), 0) if module else 0
        if brought > number and not away(number, brought):
            return True
        if any(
            last > number
            and (step in ended_by or ("fetched" in ended_by and step in FETCHES))
            and not away(number, last)
            for step, last in self._mended.items()
        ):
            return True
        for mark in self._success:
            if any(one(number, mark.line) for one in apart):
                continue
            if mark.line <= number or mark.stage not in ORDER or stage not in ORDER:
                continue
            later = ORDER.index(mark.stage) >= ORDER.index(stage)
            same_world = (mark.stage in {"ship", "run"}) == (stage in {"ship", "run"})
            if later and same_world:
                return True
        return False
