"""Tells what a program says that it got over: tries that it counts, and parts that it leaves out.

``attempt 3/5 failed: ...`` is one of several tries; a later one may have come through. A program
may find no accelerator of one kind and take another, or leave out what is not needed to do its
work. That it does so it says in a line of its own, apart from the failure; the failure proves
nothing then. The last try of all, and a part without which nothing goes on, stay. A line that says
by itself that it only warns is another thing (:mod:`orchestrator.diagnose.survived`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from orchestrator.diagnose.post.session import prompt_of
from orchestrator.diagnose.post.told import speaks
from orchestrator.diagnose.restarts import WELL
from orchestrator.diagnose.words.text import REMEMBERED, holding

#: A try with its number and how many there may be; with words for it on either side, or alone in
#: brackets before a message that comes again with the next number.
_TRY = (
    r"(?:attempts?|tr(?:y|ies)|retry(?:ing)?|retries|versuch|wiederholung|essai|tentative|intento"
    r"|tentativa|tentativo|reintento|попытка|尝试|重试|試行|再試行|시도)"
)
_OF = r"(?:/|of|out of|von|sur|de|di|из|共)"
_COUNTED = re.compile(
    rf"\b{_TRY}\W{{0,3}}(?:(?:no|nr|number"
    rf"|n°)\W{{0,2}})?(?P<n>\d{{1,3}}) ?{_OF} ?(?P<m>\d{{1,3}})\b"
    rf"|\b{_TRY}\b.{{0,60}}?[(\[](?P<n2>\d{{1,3}}) ?{_OF} ?(?P<m2>\d{{1,3}})[)\]]"
    rf"|[(\[](?P<n3>\d{{1,3}}) ?{_OF} ?(?P<m3>\d{{1,3}})[)\]].{{0,60}}?\b{_TRY}\b",
    re.IGNORECASE,
)
_COUNT = re.compile(rf"\d ?{_OF} ?\d", re.IGNORECASE)
_IN_BRACKETS = re.compile(
    r"^(?P<before>.{0,40}?)[(\[](?P<n>\d{1,3})/(?P<m>\d{1,3})[)\]](?P<said>.*)$"
)
#: What it says once one of them went well, or once it works; and that it ends without.
_WELL = re.compile(
    r"(?<!not )(?<!n['\u2019]t )(?<!never )(?<!nicht )(?<!pas )(?<!no )(?<!não"
    r" )\b(?:(?:re)?connected"
    r"|succe(?:ss|eded|ssful(?:ly)?)|ok|okay|opened|open(?= (?:now|again))|started|running|ready"
    r"|listening|serving|streaming|online|finished|complete[d]?|done|passed|recovered|restored"
    r"|available now|established|loaded|found(?! no)|configured|written|saved"
    r"|verbunden|verbindung steht|erfolgreich|gestartet|bereit|l(?:ä|ae)uft|fertig|geöffnet"
    r"|connectée?|réussie?|démarrée?|prête?|en écoute|terminée?|fini"
    r"|conectad[oa]|correct[oa]|list[oa]|iniciad[oa]|abiert[oa]|terminad[oa]|hecho"
    r"|conectou|sucesso|éxito|pront[oa]|aberto|conclu(?:í|i)d[oa]"
    r"|connesso|riuscito|avviato|completato)\b"
    r"|\bHTTP(?:/\d(?:\.\d)?)? 2\d\d\b|\bis (?:up|back)\b|\bafter \d+ (?:tries|attempts|retries)\b"
    r"|成功|已连接|完成|接続しました|成功しました|완료|성공",
    re.IGNORECASE,
)
_WORKS = re.compile(
    rf"{WELL.pattern}|(?<![\w.])\d+(?:\.\d+)? ?(?:frames|it)/s\b"
    r"|\b[1-9]\d* (?:frames|images|pictures|detections?|objects|bilder|fotogramas)\b"
    r"|\bepoch \d+/\d+ .*\d|\bframes?\W{1,3}[1-9]|\bdetections?\W{1,3}\d|\bmAP\b.{0,12}\d"
    r"|\bexit(?:ed)?\b.{0,12}\b0\b",
    re.IGNORECASE,
)
_BAD = re.compile(
    r"\b(?:fail\w*|error\w*|cannot|could not|unable|refused|denied|timed? ?out|not (?:found|ready"
    r"|available|connected)|no such|giv(?:e|es|ing) up|gave up|abort\w*|exhausted|no more"
    r"|fehlgeschlagen|fehler|abbruch|gescheitert|échou\w*|échec|erreur|fallid[oa]|falló|falhou"
    r"|erro|fallito|失败|失敗|错误|エラー|실패)\b|(?-i:Error|Exception|Traceback|HAILO_(?!SUCCESS))",
    re.IGNORECASE,
)
#: Accelerators by their kind, as programs and what they fail to load call them.
_KINDS = {
    "tpu": r"coral|edge ?tpu|pycoral|tpu",
    "gpu": r"cuda\w*|gpus?|nvidia|tensorrt|trt|cudnn\w*|cublas\w*|opencl|rocm|vulkan|nvml|mps|metal"
           r"|libcu\w+",
    "hailo": r"hailo\w*|hailort\w*",
    "vino": r"openvino|myriad|ncs2?",
    "npu": r"rknn\w*|npu|qnn|ethos\w*|vitis\w*",
    "cpu": r"cpu\w*|xnnpack|onnx ?runtime",
}  # fmt: skip
_ANY = re.compile(
    r"(?<![a-z0-9])(?:lib|_)?(?:" + "|".join(f"(?P<{k}>{v})" for k, v in _KINDS.items()) + r")"
    r"(?![a-z])",
    re.IGNORECASE,
)
_MISSES = re.compile(
    r"\b(?:no|kein\w*|aucun\w*|ning(?:ún|una)) .*\b(?:detected|device|erkannt)|\btoo old\b",
    re.IGNORECASE,
)
#: One of these is in each line that misses one.
_PASSED = (
    "coral", "tpu", "cuda", "gpu", "nvidia", "tensorrt", "trt", "cudnn", "cublas", "opencl", "rocm",
    "vulkan", "nvml", "mps", "metal", "libcu", "openvino", "myriad", "ncs", "rknn", "npu", "qnn",
    "ethos", "vitis",
)  # fmt: skip
#: A program takes one, and says no condition and no advice.
_TAKES = re.compile(
    r"(?:^|(?<=[\s:,;.(>\]-]))(?:using|uses?|used|selected|choosing|chose|picked|trying|tries"
    r"|switch(?:ing|es|ed) to|f(?:a|e)ll(?:s|ing)? ?back (?:to|on)|going with|taking|takes"
    r"|running on|runs on|in use|nehme|benutze|verwende|nutze|weiche|utilise|prends?|bascule sur"
    r"|usando|utilizando|se usa|usa|使用|改用|切换到)\b(?P<what>.{1,60})",
    re.IGNORECASE,
)
_ADVISES = re.compile(
    r"\b(?:if|unless|must|should|please|you|configure|recommended|instead of|want to|wenn|bitte"
    r"|si vous|si usted)\b",
    re.IGNORECASE,
)
#: A program leaves out a part that it names, or a group of its log stands for.
_LEAVES = re.compile(
    r"\b(?:(?:is |was |are )?(?:not used|left out|(?:switched|turned) off|disabled|skipped|dropped"
    r"|ignored|not there|unavailable)|is off|goes? on without|going on without|carr(?:y|ies"
    r"|ying) on"
    r"|continu(?:e|es|ing) without|without it|will be (?:off|skipped|disabled|left out)"
    r"|abgeschaltet|ausgelassen|übersprungen|deaktiviert|(?:geht|mache?|läuft) (?:weiter )?ohne"
    r"|désactivée?|ignorée?|on continue sans|sans (?:lui|elle)"
    r"|desactivad[oa]|omitid[oa]|sigue sin|se omite|desativad[oa]|ignorad[oa]|segue sem"
    r"|disattivat[oa]|saltat[oa])\b|已禁用|已跳过|跳过|無効|スキップ",
    re.IGNORECASE,
)
#: One of these is in each such line.
_LEFT = (
    "not used", "left out", " off", "disabled", "skip", "dropped", "ignor", "not there",
    "unavailable", "without", "abgeschaltet", "ausgelassen", "übersprungen", "deaktiviert", " ohne",
    "désactiv", " sans ", "desactivad", "omit", " sin", "desativad", " sem", "disattivat",
    "saltat", "禁用", "跳过", "無効", "スキップ",
)  # fmt: skip
_TAG = re.compile(r"^\W{0,3}\[(?P<tag>[A-Za-z][\w.-]{1,30})\]")
_NAME = re.compile(r"[^\W\d_][\w-]{3,}")
#: Words of levels and of programs' speech that name no part.
_NO_PART = frozenset((
    "error", "warning", "warn", "info", "debug", "fatal", "critical", "fehler", "failed", "with",
    "from", "this", "that", "here", "there", "none", "module", "named", "file", "such",
    "directory", "import", "importerror", "modulenotfounderror", "runtimeerror", "oserror",
    "valueerror", "message", "python", "python3", "exception", "could", "cannot", "open",
    "shared", "object", "used", "using", "device",
))  # fmt: skip
#: OpenCV tries one way to cameras and files after the other, and tells of each that did not do.
_VIDEO = re.compile(
    r"\s*\[ ?(?:WARN|ERROR):\d+(?:@[\d.]+)?\] global .{0,80}?\bcap_\w+(?:\.\w+)?\.[ch]pp\b"
)
#: What the program behind it says when pictures come, and when none do.
_PICTURES = re.compile(
    r"(?<!\d)[1-9]\d* (?:frames|pictures|images)\b|\bframes?\W{1,3}[1-9]\d*\b"
    r"|(?<![\w.])[1-9]\d*(?:\.\d+)? ?fps\b|\breconnected\b|\bcamera found (?:at|on)\b",
    re.IGNORECASE,
)
_NO_PICTURE = re.compile(
    r"\b(?:fail\w*|cannot|can['\u2019]?t|could(?: not|n['\u2019]t)|unable|not|no)\b.{0,24}?"
    r"\b(?:read|grab\w*|opened|open|frames?|pictures?|image|camera|receive)\b|NoneType|empty\(\)",
    re.IGNORECASE,
)
#: So many lines above the word that it goes on may the failure stand.
_FAR = 25
_NEAR = 6
#: Longer lines say nothing of this.
_LONGEST = 500


@dataclass(frozen=True, slots=True)
class _Try:
    line: int
    at: int
    most: int
    bad: bool
    what: str


def is_got_over(lines: list[str]) -> set[int]:
    """Return the numbers of the lines whose failure the program says that it got over."""
    return _counted(lines) | _passed_over(lines) | _left_out(lines) | _other_ways(lines)


def _other_ways(lines: list[str]) -> set[int]:
    """Return the lines of OpenCV about a way to pictures, where these came by another one."""
    over: set[int] = set()
    for number, line in holding(lines, ("cap_",), _LONGEST):
        if _VIDEO.match(line) is None:
            continue
        came = False
        for below in lines[number + 1 : number + 1 + _FAR]:
            if prompt_of(below) or (_VIDEO.match(below) is None and _NO_PICTURE.search(below)):
                came = came and prompt_of(below) is not None
                break
            came = came or _PICTURES.search(below) is not None
        if came:
            over.add(number)
    return over


def _counted(lines: list[str]) -> set[int]:
    """Return the lines of the tries that failed before one that did not."""
    tries = _tries(lines)
    over: set[int] = set()
    for index, one in enumerate(tries):
        if not one.bad or one.at >= one.most:
            continue
        later = [other for other in tries[index + 1 :] if other.most == one.most]
        # The same count begins anew with the next thing that is tried.
        end = next((other.line for other in later if other.at <= one.at), len(lines))
        last = max((other for other in later if other.line < end), key=_line_of, default=one)
        if last.bad and last.at >= last.most:
            continue
        if not last.bad or _is_well_from(lines, last.line + 1, end):
            over.add(one.line)
    return over


def _line_of(one: _Try) -> int:
    return one.line


def _tries(lines: list[str]) -> list[_Try]:
    found: list[_Try] = []
    for number, line in enumerate(lines):
        if len(line) > _LONGEST or _COUNT.search(line) is None:
            continue
        counted = _COUNTED.search(line)
        if counted is not None:
            groups = counted.groupdict()
            at = int(next(groups[key] for key in ("n", "n2", "n3") if groups[key]))
            most = int(next(groups[key] for key in ("m", "m2", "m3") if groups[key]))
            rest = line[: counted.start()] + line[counted.end() :]
        elif line.lstrip()[:1] in "([" and (bracket := _IN_BRACKETS.match(line)) is not None:
            at, most = int(bracket["n"]), int(bracket["m"])
            rest = bracket["before"] + bracket["said"]
        else:
            continue
        if not 0 < at <= most:
            continue
        what = rest.strip() if counted is None else ""
        bad = _BAD.search(rest) is not None or (_WELL.search(rest) is None and counted is not None)
        found.append(_Try(number, at, most, bad, what))
    # Alone in brackets, a number counts tries only where the same failed at two of them.
    said = [one.what for one in found]
    names = {one.what.split(":")[0] for one in found if one.bad and said.count(one.what) > 1}
    return [one for one in found if not one.what or one.what.split(":")[0] in names]


def _is_well_from(lines: list[str], first: int, end: int) -> bool:
    """Tell whether the program says first of all that it works, from line ``first`` on."""
    for line in lines[first : min(end, first + _FAR)]:
        if not line.strip():
            continue
        if prompt_of(line) or _BAD.search(line) or speaks(line):
            return False
        if _WELL.search(line) or _WORKS.search(line):
            return True
    return False


def _fails(line: str) -> bool:
    """Tell whether ``line`` says that something failed; what the SDK informs of does not."""
    return _BAD.search(line) is not None and not line.startswith("[info]")


def _kinds(line: str) -> frozenset[str]:
    return frozenset(match.lastgroup or "" for match in _ANY.finditer(line))


def _passed_over(lines: list[str]) -> set[int]:
    """Return the lines that miss one accelerator, where the program takes another and works."""
    over: set[int] = set()
    below = _Below(lines, fails=True)
    for number, line in holding(lines, _PASSED, _LONGEST):
        missed = _missed(line)
        for at in range(number, min(number + _FAR, len(lines)) if missed else number):
            if prompt_of(lines[at]):
                break
            taken = _taken(lines[at])
            if taken and taken not in missed and below.works(at):
                over.add(number)
                break
    return over


def _missed(line: str) -> frozenset[str]:
    """Return the accelerators that ``line`` says are not there; none of Hailo's is passed over."""
    takes = _TAKES.search(line)
    missed = _kinds(line if takes is None else line[: takes.start()]) - {"cpu"}
    told = "hailo" not in missed and (_fails(line) or _MISSES.search(line) is not None)
    return missed if told else frozenset()


@lru_cache(maxsize=REMEMBERED)
def _taken(line: str) -> str:
    """Return what ``line`` says that the program takes: ``hailo``, ``cpu``, else nothing."""
    if len(line) > _LONGEST or (takes := _TAKES.search(line)) is None:
        return ""
    in_use = takes[0].lower().startswith("in use")
    kinds = _kinds(takes["what"]) or (_kinds(line[: takes.start()]) if in_use else frozenset())
    if kinds not in ({"hailo"}, {"cpu"}) or _BAD.search(takes["what"]):
        return ""
    return "" if _ADVISES.search(line) or speaks(line) else next(iter(kinds))


class _Below:
    """Knows of each line whether a program does its work below it, or (``fails``) fails at
    something else there."""

    def __init__(self, lines: list[str], *, fails: bool = False) -> None:
        self._lines = lines
        self._fails = fails
        #: What was found from a line on, by its number; a log is gone through once.
        self._found: dict[int, bool] = {}

    def works(self, number: int) -> bool:
        """Tell whether the program does its work below line ``number``, up to the next command."""
        at = first = number + 1
        told = None
        while told is None and at < len(self._lines):
            told = self._found.get(at)
            if told is None:
                told = _tells(self._lines[at], fails=self._fails)
            at += 1
        self._found.update(dict.fromkeys(range(first, at), bool(told)))
        return bool(told)


def _tells(line: str, *, fails: bool) -> bool | None:
    """Tell whether ``line`` says that a program works; ``None`` where it says neither."""
    if prompt_of(line):
        return False
    if _BAD.search(line):
        return True if fails and not speaks(line) else None
    if _WORKS.search(line):
        return True
    return True if _WELL.search(line) and not speaks(line) else None


def _left_out(lines: list[str]) -> set[int]:
    """Return the lines in which a part failed that the program leaves out, and goes on."""
    over: set[int] = set()
    below = _Below(lines)
    for number, line in holding(lines, _LEFT, _LONGEST):
        if (leaves := _LEAVES.search(line)) is None:
            continue
        failed = _failed_above(lines, number, line[: leaves.start()])
        told = failed and not (prompt_of(line) or _ADVISES.search(line) or speaks(line))
        if told and below.works(number):
            over.update(failed)
    return over


def _failed_above(lines: list[str], number: int, said: str) -> set[int]:
    """Return the lines right above line ``number`` that say of the part which ``said`` names, or
    which has its group of the log, that it failed."""
    tag = _TAG.match(said)
    group = tag[0].lstrip() if tag is not None else "\n"
    names = _parts(said)
    failed: set[int] = set()
    for at in range(number - 1, max(number - _NEAR, 0) - 1, -1):
        above = lines[at]
        if prompt_of(above):
            break
        lower = above.lower()
        named = any(name in lower for name in names) and names & _parts(above)
        if (named or above.lstrip().startswith(group)) and _fails(above):
            failed.add(at)
    return failed


def _parts(line: str) -> set[str]:
    """Return the names of parts that ``line`` may hold; none of Hailo's is left out."""
    names = {one.lower() for one in _NAME.findall(line)} - _NO_PART
    return {one for one in names if not one.startswith(("hailo", "libhailo"))}
