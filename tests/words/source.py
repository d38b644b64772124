"""Messages as they stand in the source: what is put into them is ``%1``, ``%2`` and so on.

Messages are f-strings and ``%`` formats where they are made. Their templates are read out of the
syntax tree, so that nothing has to be marked for the sake of translation.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from orchestrator.diagnose.catalogue import load_catalogue
from orchestrator.diagnose.compiled import STATUSES, sources
from tests.unit.test_house import REPOSITORY

#: Where messages are made.
CODE = ("orchestrator", "docker/worker/hefsmith_worker")
#: Modules whose sentences are all for people: the summary and the verdict.
SPOKEN = (
    "orchestrator/cli/asking.py",
    "orchestrator/cli/beginning.py",
    "orchestrator/cli/summary.py",
    "orchestrator/engine/choose.py",
    "orchestrator/pipeline/device_choice.py",
    "orchestrator/pipeline/judgement.py",
    "orchestrator/report/causes.py",
    "orchestrator/report/grounds.py",
    "orchestrator/report/model.py",
    "orchestrator/report/symptoms.py",
    "orchestrator/report/verdict.py",
)
#: Modules whose lines go into files, or are another program's.
WRITTEN = (
    "orchestrator/hef/vendor.py",
    "orchestrator/project/starter.py",
    "orchestrator/report/markdown.py",
    "orchestrator/toolchain/contact.py",
)
#: Names of tables whose values are shown, one word or more.
TITLES = (
    *("COLUMNS", "HEADS", "MEASURE_TITLES", "SHORT_TITLES", "STEP_TITLES", "TAILS", "TITLES"),
    *("UNITS", "_MARKS", "_FAULT_TITLES", "_GROUP_TITLES", "_SEVERITY_TITLES"),
    *("_CHECKS", "_SECTIONS", "_SUM_NAMES"),
)
_PERCENT = re.compile(r"%%|%[-#0 +]*\d*(?:\.\d+)?[a-zA-Z]")
#: Functions that make findings, and the place of their message among the arguments.
_FINDERS = {
    "finding": 2,
    "Finding": 2,
    "at": 3,
    # Of doctor:
    "error": 0,
    "warning": 0,
    "info": 0,
    "ok": 0,
}


#: Ends of the names of our errors.
_ERRORS = re.compile(
    r"(Error|Failed|Refused|Timeout|Lacks|Interrupted|Unreachable|Unknown|Changed|Busy|Full"
    r"|Misbehaves|Silent|Lost|NotOurs)$"
)


@dataclass(frozen=True)
class Message:
    """One message: its template, its kind (``error``, ``hint``, ``line`` of one, ...)."""

    text: str
    kind: str
    file: str
    line: int


def template(node: ast.expr) -> str | None:
    """Return the template of an expression, ``None`` for one that is no text by itself."""
    parts = _parts(node)
    if parts is None or not any(isinstance(part, str) for part in parts):
        return None
    number = 0
    text = ""
    for part in parts:
        if part is None:
            number += 1
            text += f"%{number}"
        else:
            text += part
    return text


def _parts(node: ast.expr) -> list[str | None] | None:
    """Return the pieces of a text, ``None`` among them for each value that is put in."""
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        found = (one.value if isinstance(one, ast.Constant) else None for one in node.values)
        return [None if one is None else str(one) for one in found]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        left = _parts(node.left)
        return None if left is None else [piece for part in left for piece in _percents(part)]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        sides = [_parts(side) or [None] for side in (node.left, node.right)]
        return [*sides[0], *sides[1]]
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "format"
    ):
        text = _parts(node.func.value)
        return None if text is None else [piece for part in text for piece in _braces(part)]
    return None


def _percents(part: str | None) -> Iterator[str | None]:
    if part is None:
        yield None
        return
    at = 0
    for found in _PERCENT.finditer(part):
        yield part[at : found.start()]
        yield "%" if found.group() == "%%" else None
        at = found.end()
    yield part[at:]


def _braces(part: str | None) -> Iterator[str | None]:
    for number, piece in enumerate(re.split(r"\{\w*\}", part or "")):
        if number:
            yield None
        yield piece


@cache
def messages() -> tuple[Message, ...]:
    """Return all messages of the source, each once for every place it stands at."""
    files = [path for room in CODE for path in sorted((REPOSITORY / room).rglob("*.py"))]
    found = (one for path in files for one in _of_file(path))
    return (*found, *known_failures(), *statuses())


#: What ``{name|words when nothing was captured}`` stands for in the list of known failures.
_PLACEHOLDER = re.compile(r"\{([a-z_0-9]+)(?:\?([^{}|]*))?(?:\|([^{}]*))?\}")
CHECKS = "orchestrator/diagnose/doctor/checks_"
FAILURES = "orchestrator/diagnose/failures"


def known_failures() -> Iterator[Message]:
    """Yield the causes and remedies of ``hef explain``, and the words that fill them."""
    for entry in load_catalogue().values():
        for kind, text in (("cause", entry.cause), ("remedy", entry.remedy)):
            shape, words = _unfilled(text)
            yield Message(shape, kind, FAILURES, 0)
            yield from (Message(word, "filling", FAILURES, 0) for word in words)
        if entry.confirm:
            yield Message(_unfilled(entry.confirm)[0], "remedy", FAILURES, 0)


def statuses() -> Iterator[Message]:
    """Yield what each status of HailoRT means, which ``hef explain`` puts into a cause."""
    for group in yaml.safe_load(sources()[STATUSES]):
        for _, meaning, *_ in group["names"].values():
            yield Message(meaning, "filling", f"orchestrator/diagnose/{STATUSES}", 0)


def _unfilled(text: str) -> tuple[str, list[str]]:
    """Return a text with ``%1`` for its outer placeholders, and the words they may hold.

    A piece that is there only with a value (``{host? %}``) is one value, with its own words.
    """
    words: list[str] = []
    inner = text
    while True:
        found = _PLACEHOLDER.search(inner)
        if found is None:
            break
        _, with_it, without = found.groups()
        for one in (with_it, without):
            if one and re.search("[a-z]{2}", one):
                words.append(one.replace("%", "%1", 1) if one is with_it else one)
        inner = inner[: found.start()] + "\0" + inner[found.end() :]
        inner = re.sub("\0+(?=[^{}]*})", "", inner) if "{" in inner[: found.start()] else inner
    pieces = re.split("\0+", inner)
    shape = pieces[0]
    for number, piece in enumerate(pieces[1:], start=1):
        shape += f"%{number}{piece}"
    return shape, words


def _of_file(path: Path) -> Iterator[Message]:
    name = path.relative_to(REPOSITORY).as_posix()
    tree = ast.parse(path.read_text("utf-8"))
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    quiet = name in WRITTEN
    for node in ast.walk(tree):
        for kind, value in (*_spoken(node), *(_rows(node) if name.startswith(CHECKS) else ())):
            for one in _choices(value):
                text = template(one)
                if text is not None and id(one) not in docs and not (quiet and kind == "said"):
                    yield Message(text, kind, name, one.lineno)
    if name in SPOKEN:
        inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)
                 for part in node.values}  # fmt: skip
        inner |= {id(part) for node in ast.walk(tree) if isinstance(node, ast.Call)
                  and _name(node.func) == "counted" for part in node.args}  # fmt: skip
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant | ast.JoinedStr) and id(node) not in docs | inner:
                text = template(node)
                if text is not None and is_sentence(text):
                    yield Message(text, "summary", name, node.lineno)


#: Beginnings of a command, which is the same in every language, unless it goes on in words.
_COMMAND = re.compile(r"(?:hef|sudo|pip|echo|apt-cache|hailomz|ssh-keygen|%1)\b")
_WORDS = re.compile(
    r"\b(?:a|about|agrees?|already|announced|are|at|be|but|cannot|contradict|did|does|exist|for|found|goes"
    r"|has|holds|ignored|in|is|it|knows|makes|matches|must|needs|no|not|occurs|of|or|raised|replaces|say"
    r"|shipped|shows|takes|tells|than|the|then|to|was|were|will|with|works|whose|rule)\b"
)


def needs_words(text: str) -> bool:
    """Tell whether a message has something to translate: it is neither code nor a command."""
    code = re.fullmatch(r"[\w.-]+|\w+(?:\.\w+)* = .*|[%/*\w.]+|\w+: \{.*\}", text)
    bare = re.sub(r"[-\w]*-[-\w]*", "", text)  # -in-words of a command's options
    command = _COMMAND.match(text) is not None and _WORDS.search(bare) is None
    return code is None and is_sentence(text) and not command


def is_sentence(text: str) -> bool:
    """Tell whether a text has words in it, rather than a name or a format."""
    return len(re.findall(r"\b[A-Z]?[a-z]{2,}\b", re.sub(r"%\d", "", text))) > 1


def _choices(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.IfExp):
        yield from _choices(node.body)
        yield from _choices(node.orelse)
    elif isinstance(node, ast.BoolOp):
        for value in node.values:
            yield from _choices(value)
    else:
        yield node


def _texts_in(node: ast.expr) -> Iterator[ast.expr]:
    """Yield the sentences of an expression: of a choice, a list, or the lines that are joined."""
    inside = {
        id(part)
        for one in ast.walk(node)
        if isinstance(one, ast.JoinedStr)
        for part in ast.walk(one)
        if part is not one
    }
    for one in ast.walk(node):
        if isinstance(one, ast.Constant | ast.JoinedStr) and id(one) not in inside:
            text = template(one)
            if text is not None and is_sentence(text):
                yield one


def _rows(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Yield what a check of doctor puts together before it tells it."""
    names = ("clean", "found", "said", "text")
    if isinstance(node, ast.Assign) and _name(node.targets[0]) in names:
        yield "line", node.value


def _counts(words: list[ast.expr]) -> Iterator[ast.expr]:
    """Yield ``%1 image`` and ``%1 images`` for ``counted(number, "image")``."""
    said = [one.value for word in words for one in _choices(word) if isinstance(one, ast.Constant)]
    both = [str(one) for one in said]
    for one in both if len(both) > 1 else [*both, *(f"{one}s" for one in both)]:
        yield ast.copy_location(ast.Constant(f"%1 {one}"), words[0])


def _printed(node: ast.Call, name: str) -> Iterator[ast.expr]:
    """Yield the sentences of a call that prints a line, keeps one to be printed, or asks."""
    if name in ("add_task", "confirm", "note", "print_result") and node.args:
        yield node.args[0]
    elif name == "append" and node.args and isinstance(node.func, ast.Attribute):
        if _name(node.func.value) in ("lines", "notes", "said"):
            yield node.args[0]
    elif name == "Question":
        for part in node.args:
            yield from _texts_in(part)


def _name(node: ast.expr) -> str:
    """Return the last word of what is called or assigned."""
    return str(getattr(node, "attr", None) or getattr(node, "id", ""))


def _inside(values: Sequence[ast.expr]) -> Iterator[ast.expr]:
    """Yield what stands in tuples, of others themselves."""
    for value in values:
        yield from value.elts if isinstance(value, ast.Tuple) else [value]


def _of_table(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    if _name(target) in TITLES:
        inside = getattr(value, "values", None) or getattr(value, "elts", ())
        yield from (("title", one) for one in inside)


def _spoken(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Yield the values of a piece of code that users read, each with its kind."""
    if isinstance(node, ast.Call):
        name = _name(node.func)
        for keyword in node.keywords:
            if keyword.arg in ("hint", "fix", "why", "advice", "remedy"):
                yield keyword.arg, keyword.value
        place = _FINDERS.get(name)
        if place is not None and len(node.args) > place:
            yield "finding", node.args[place]
        elif node.args and _ERRORS.search(name):
            yield "error", node.args[0]
        if name in ("told", "say", "_titled") and node.args:
            yield "title", node.args[0]
        of = _name(node.func.value) if isinstance(node.func, ast.Attribute) else ""
        if name in ("add", "append") and of == "facts":  # of a file
            yield from (("title", value) for value in _inside(node.args[:2]))
        if name == "DeviceChoice" and len(node.args) > 1:
            yield "said", node.args[1]
        if name == "counted" and len(node.args) > 1:
            yield from (("count", value) for value in _counts(node.args[1:]))
        if name == "add" and isinstance(node.func, ast.Name) and len(node.args) > 1:
            yield "title", node.args[0]
        if name in ("AskedRow", "Row"):
            yield from (("title", value) for value in node.args[:1])
        if name == "_check" and len(node.args) == 3:  # of doctor: name, title, what checks
            yield "title", node.args[1]
        if name == "Check" and len(node.args) > 2:
            yield "title", node.args[2]
        if name in ("error", "info", "warning"):  # of doctor: message, why, fix
            yield from zip(("why", "fix"), node.args[1:3], strict=False)
        yield from (("said", one) for one in _printed(node, name))
        yield from (("said", one.value) for one in node.keywords if one.arg in ("reason", "said"))
        if name == "_known":
            yield from zip(("finding", "fix"), node.args[:2], strict=False)
    elif isinstance(node, ast.FunctionDef) and node.name == "__str__":
        yield from (("title", one.value) for one in node.body if isinstance(one, ast.Return)
                    and one.value is not None)  # fmt: skip
    elif isinstance(node, ast.FunctionDef) and re.search(r"hint|how_to|_fix$", node.name):
        for inner in ast.walk(node):
            if isinstance(inner, ast.Return) and inner.value is not None:
                yield from (("line", one) for one in _texts_in(inner.value))
    elif isinstance(node, ast.Assign) and len(node.targets) == 1:
        name = _name(node.targets[0]).lower().lstrip("_")
        if name in ("hint", "fix", "advice") or name.endswith(("_fix", "_hint")):
            yield "hint", node.value
        elif name in ("msg", "message", "problem"):
            yield "error", node.value
        elif name in ("confirm", "note", "reason", "said", "text", "what", "why", "words"):
            yield "said", node.value
        yield from _of_table(node.targets[0], node.value)
        if name == "facts":
            rows = getattr(node.value, "elts", ())
            yield from (("title", value) for value in _inside(rows))
    elif isinstance(node, ast.AnnAssign) and node.value is not None:
        yield from _of_table(node.target, node.value)
