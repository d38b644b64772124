"""Reads what the contact test said of a compiler, and judges it.

Pure: :func:`read_answers` takes what the program in the container printed
(``hefsmith_worker/contact.py``), :func:`judge` makes rows of it. What public sources leave open is
no fault of a compiler: both answers are taken by our worker, and are told.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hefsmith_worker.contract.surface import SDK

from orchestrator.contact_report import Row, State
from orchestrator.reading import parse_json

if TYPE_CHECKING:
    from collections.abc import Mapping

MARK: Final = "HEFSMITH-CONTACT "

#: What a program that answers prints; anything beyond is not read.
MOST_ANSWERS: Final = 200


@dataclass(frozen=True)
class Answer:
    """One answer: ``state`` is ``yes``, ``no`` or ``failed``."""

    state: str
    text: str
    seconds: float


@dataclass(frozen=True)
class Question:
    """What a check is called, what ``no`` and ``failed`` mean, and what to do then."""

    title: str
    no: State = "ok"
    failed: State = "error"
    no_text: str = ""
    fix: str = ""


_RAW = "no ({}); such a network gives raw outputs, decoded on the host"
_NMS = "Only such a network is concerned. Builds try it, and give raw outputs where it fails."
_STAGE = "A build would fail here. Look at the message with hef explain, and report it to us."

QUESTIONS: Final[Mapping[str, Question]] = {
    "import": Question(
        "import", fix="The image is damaged or made for another processor: import it again."
    ),
    "parse": Question("parse a network", fix=_STAGE),
    "hn-json": Question("HN is plain JSON", no_text="no ({}); it is made plain here"),
    "activation": Question("activation in the HN"),
    "names": Question(
        "HN names ONNX nodes", "warning", no_text="{}",
        fix="Cuts by name may miss: name start and end nodes by hef inspect.",
    ),
    "simplified-names": Question(
        "the same, simplified", "warning", failed="warning", no_text="{}",
        fix="Where a cut by name misses, name start and end nodes by hef inspect.",
    ),
    "vector-input": Question("input (1, F) in the HN", failed="warning"),
    "optimize": Question("quantise, level 0", fix=_STAGE),
    "infer": Question("infer in three contexts", fix=_STAGE),
    "compile": Question("compile", fix=_STAGE),
    "home": Question("read-only root, home folder"),
    "compiled-inference": Question(
        "compiled HAR still infers", failed="ok",
        no_text="no ({}); builds take the quantised one",
    ),
    "level-1": Question(
        "level 1 (bias correction)", "warning", failed="warning", no_text="no ({})",
        fix="Builds at level 1 run level 0 at once and say so. Name it: optimization: {level: 0}",
    ),
    "logits": Question(
        "logits_layer, 3 arguments", failed="ok", no_text="no; four are always given",
    ),
    "nms-ssd": Question("NMS of ssd, no background", failed="warning", no_text=_RAW, fix=_NMS),
    "nms-yolov8": Question("NMS of yolov8, 8 bins", failed="warning", no_text=_RAW, fix=_NMS),
    "nms-yolov6": Question("NMS of yolov6 on 5.x", failed="warning", no_text=_RAW, fix=_NMS),
}  # fmt: skip


def program() -> str:
    """Return the program that is run inside."""
    path = Path(str(resources.files("hefsmith_worker"))) / "contact.py"
    return path.read_text(encoding="utf-8")


def arguments(chip: str) -> tuple[str, str]:
    """Return what the program is given: the names to look up, and the chip."""
    return json.dumps([asdict(use) for use in SDK]), chip


def read_answers(stdout: str) -> dict[str, Answer]:
    """Return the answers by check; what is none of ours is left out."""
    found: dict[str, Answer] = {}
    for line in stdout.splitlines():
        _, mark, text = line.partition(MARK)
        if not mark or len(found) >= MOST_ANSWERS:
            continue
        try:
            answer = parse_json(text)
            state, told = str(answer["state"]), str(answer["text"])
            seconds = float(answer.get("seconds") or 0)
        except (ValueError, KeyError, TypeError):
            continue
        if state in ("yes", "no", "failed"):
            found[str(answer["check"])] = Answer(state, told[:500], seconds)
    return found


def judge(answers: Mapping[str, Answer], ended: str = "") -> tuple[Row, ...]:
    """Return the rows; ``ended`` says how the program ended where it did not come to its end."""
    rows = [_row("import", answers), _surface(answers)]
    rows += [_row(check, answers) for check in QUESTIONS if check != "import"]
    if "done" not in answers:
        last = list(answers)[-1] if answers else "the start"
        rows.append(
            Row(
                check="the end of the test",
                state="error",
                found=f"not reached; the last answer was about {last}{ended and f' ({ended})'}",
                fix="Give the engine more memory, then run it again: hef toolchain check",
            )
        )
    return tuple(rows)


def _surface(answers: Mapping[str, Answer]) -> Row:
    looked = {use.name: answers.get(f"surface:{use.name}") for use in SDK}
    wrong = {name: one.text for name, one in looked.items() if one and one.state != "yes"}
    title = "names and keywords"
    if not any(looked.values()):
        return Row(check=title, state="not asked", found="")
    needed = [name for name in wrong if not next(u.when for u in SDK if u.name == name)]
    if not wrong:
        return Row(check=title, state="ok", found=f"all {len(looked)} that are used exist")
    return Row(
        check=title,
        state="error" if needed else "warning",
        found="; ".join(wrong.values()),
        fix="This hefsmith does not fit this compiler: update it, or import another release.",
    )


def _row(check: str, answers: Mapping[str, Answer]) -> Row:
    question = QUESTIONS[check]
    answer = answers.get(check)
    if answer is None:
        return Row(check=question.title, state="not asked", found="")
    took = f" ({answer.seconds:.1f} s)" if answer.seconds >= 1 else ""
    if answer.state == "yes":
        return Row(check=question.title, state="ok", found=(answer.text or "yes") + took)
    state = question.no if answer.state == "no" else question.failed
    text = (question.no_text or "{}") if answer.state == "no" else "{}"
    fix = question.fix if state != "ok" else ""
    return Row(check=question.title, state=state, found=text.format(answer.text) + took, fix=fix)
