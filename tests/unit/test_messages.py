"""The rules of ``docs/messages.md``, held to by every message of the source."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, get_args, get_type_hints

import pytest
from typer.main import get_command

from orchestrator.cli.app import build_app
from orchestrator.diagnose.catalogue import load_catalogue
from orchestrator.project.projectfile import ProjectFile
from orchestrator.project.recipe import Recipe
from orchestrator.project.section import Section
from tests.words.source import FAILURES, Message, messages

HINTS = ("advice", "fix", "hint")
STATEMENTS = ("error", "finding", "why")
#: What other programs than hef are told, whose options are theirs.
OTHERS = re.compile(
    r"\b(?:apt|dask|dmesg|docker|dpkg|hailomz|journalctl|mkdocs|pip|podman|python3|rpicam-\w+|udevadm"
    r"|usermod|venv|wsl)\b"
)
#: Names of our code, of Python's types, and of its values.
INSIDE = re.compile(
    r"\bNone\b|\bNoneType\b|\bTraceback\b|hefsmith_worker\.|\borchestrator\.|\bdataclass\b"
    r"|\b(?:dict|tuple|argv|stdin)\b"
)
CHATTER = re.compile(
    r"!(?: |$)|\b(?:please|oops|sorry|unfortunately|simply|obviously|easily)\b", re.IGNORECASE
)
AMERICAN = re.compile(
    r"\b(?:colors?|gray|normaliz\w+|optimiz\w+|quantiz\w+|behavior|initializ\w+|recogniz\w+)\b"
)
#: Turns of phrase that a reader stumbles over, and what plain English has for them: "is not a
#: folder", "does not exist", "already exists", "no process", "hefsmith's", "only", "says".
MANNERED = re.compile(
    r"(?<![Tt]here )\b(?:is|are) no (?!longer\b|more\b|less\b)"
    r"|(?<!that )\b(?:is|are) not there\b|\bthere already\b|\bnobody\b|\bsomebody\b|\bof no use\b"
    r"|\b(?:ours(?!:)|our(?! own)|we|us)\b|\bspeaks? (?:of|to)?\b|\bwithout a word\b|\bcalled so\b"
    r"|\btold of\b|\bis to [a-z]+\b|\bgo(?:es)? on [a-z]+ing\b|\bwritten over\b"
)
#: Code, names, paths, keys with their values: no prose.
CODE = re.compile(r"`[^`]*`|\S*[._:/=(<\[{-]\S+|\b\w+: \{?\w*|'[^']*'|\w+_\w+")


@cache
def spoken() -> list[Message]:
    return [one for one in messages() if re.search("[a-z]{3}", one.text)]


def told(kinds: tuple[str, ...]) -> list[Message]:
    return [one for one in spoken() if one.kind in kinds]


def breaking(kinds: tuple[str, ...], rule: Any) -> list[str]:
    """Return the messages that a rule does not hold for, with their places."""
    return [f"{one.file}:{one.line}: {one.text}" for one in told(kinds) if not rule(one.text)]


def test_there_are_messages_of_each_kind() -> None:
    for kind in (*HINTS[1:], *STATEMENTS):
        assert len(told((kind,))) > 50, kind


def test_a_message_is_a_clause() -> None:
    assert breaking(STATEMENTS, lambda text: re.search(r"[^.]\.$", text) is None) == []


def test_a_hint_in_words_is_a_sentence() -> None:
    def holds(text: str) -> bool:
        if not is_prose(text):
            return True
        ended = re.search(r"[.?)…]$|[:,] ?[^ ].*$|%\d$", text.rpartition("\n")[2]) is not None
        return text[0].isupper() and ended

    assert breaking(HINTS, holds) == []


def is_prose(text: str) -> bool:
    """Tell a sentence from a command, a key with its value, and a piece of code."""
    first = text.partition(" ")[0]
    plain = re.fullmatch(r"[A-Za-z][a-z]*", first) is not None and not text.startswith("did you")
    programs = {
        "hef",
        "sudo",
        "pip",
        "hailomz",
        "chmod",
        "ssh",
        "docker",
        "echo",
        "export",
        "source",
    }
    return plain and first not in programs and len(text.split()) > 3 and "array = " not in text


def test_it_is_short() -> None:
    every = (*HINTS, *STATEMENTS)
    assert breaking(every, lambda text: max(map(len, text.split("\n"))) <= 240) == []


def test_no_inside_no_chatter_and_one_spelling() -> None:
    every = (*HINTS, *STATEMENTS)
    assert breaking(every, lambda text: INSIDE.search(CODE.sub("", text)) is None) == []
    assert breaking(every, lambda text: CHATTER.search(text) is None) == []
    assert breaking(every, lambda text: AMERICAN.search(CODE.sub("", text)) is None) == []
    assert breaking(every, lambda text: re.search("[‘’“”—]", text) is None) == []


def test_it_is_plain_english() -> None:
    every = (*HINTS, *STATEMENTS, "line", "summary", "title")
    assert breaking(every, lambda text: MANNERED.search(re.sub("`[^`]*`", "", text)) is None) == []
    for wrong in ("x is no folder", "x is there already", "our helper ended", "nobody uses it"):
        assert MANNERED.search(wrong), wrong
    for right in ("there is no folder", "it is no longer read", "our own", "nothing is missing"):
        assert not MANNERED.search(right), right


#: What there may be one of, behind a number.
COUNTED = re.compile(
    r"(?<!of )(?<!of the )(?<!of its )(?<!the )(?<!these )(?<!level )%\d "
    r"(?:(?:usable|labelled|validation|calibration) )?"
    r"(?:arguments|arrays|cameras|devices|errors|files|findings|images|inputs|labels|layers|lines"
    r"|models|outputs|pictures|samples|warnings)\b"
)
#: Where the number is never one: a limit, a choice among several, or what is compared with one.
SEVERAL = frozenset(
    {
        "%1 is %2 devices; name one",
        "%1 pictures are needed, one for each input",
        "the archive holds %1 images: %2",
        "this model takes %1 pictures at a time",
        # Damaged files, and answers of a device or worker that cannot be.
        "%1: asked about %2 files, told about %3",
        "context %1 writes %2 layers to memory and reads %3",
        "%1 left %2 files and announced %3",
        "%1 is not a list of boxes for %2 samples",
        # More than are allowed.
        (
            "%1: source.torch: the folder %2 has more code than a model needs "
            "(over %3 files or %4 MiB)"
        ),
        "optimisation level %1 works with %2 images and gets %3: %4",
    }
)


def test_one_is_no_plural() -> None:
    every = (*HINTS, *STATEMENTS, "line", "summary", "title")
    wrong = breaking(every, lambda text: COUNTED.search(text) is None)
    left = [line for line in wrong if line.split(": ", 1)[1] not in SEVERAL]
    assert left == [], "counted() of the contract says 1 image, 2 images"


# --- one next step that exists ------------------------------------------------------------------


@cache
def root() -> Any:
    return get_command(build_app())


def options_of(command: Any) -> set[str]:
    return {word for one in command.params for word in [*one.opts, *one.secondary_opts]}


def every_option(command: Any) -> set[str]:
    below = (every_option(one) for one in getattr(command, "commands", {}).values())
    return options_of(command).union(*below)


def wrong_steps(text: str, *, bare: bool = True) -> Iterator[str]:
    """Yield what a text names of ``hef`` that there is not: commands, and options of theirs.

    ``bare``: an option without a command before it is ours, too.
    """
    for found in re.finditer(r"(?<![\w/.-])hef (?=[a-z])([^,;:()\n`&\"]*)", text):
        words = [word.rstrip(".") for word in found[1].split()]
        command, path = root(), ["hef"]
        while words and words[0] in getattr(command, "commands", {}):
            path.append(words[0])
            command = command.commands[words.pop(0)]
        if len(path) == 1:
            # "hef needs Python" is a sentence; a command stands at a beginning or behind a colon.
            if re.search(r"(?:^|: |`|\n)$", text[: found.start()]) and is_command(words):
                yield f"hef {words[0]}"
            continue
        if hasattr(command, "commands") and words and words[0].islower():
            yield " ".join([*path, words[0]])
        for word in words:
            if word in ("and", "in", "or", "then", "with"):
                break
            option = word.partition("=")[0]
            if option.startswith("--") and option not in {*options_of(command), "--help"}:
                yield " ".join([*path, option])
    if bare and OTHERS.search(text) is None:
        known = {*every_option(root()), "--help"}
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text):
            if option not in known:
                yield option


def is_command(words: list[str]) -> bool:
    verbs = {"needs", "is", "copes", "then", "does", "builds", "says", "fetches", "runs", "makes"}
    return bool(words) and words[0] not in verbs


def test_every_command_and_option_exists() -> None:
    ours = [one for one in spoken() if one.file not in (*HAILOMZ, FAILURES)]
    wrong = {f"{one.file}:{one.line}: {step}" for one in ours for step in wrong_steps(one.text)}
    assert wrong == set()


#: Where options are those of Hailo's command line.
HAILOMZ = frozenset({"orchestrator/project/zoo.py"})


def test_every_remedy_of_a_known_failure_exists() -> None:
    wrong = {
        f"{entry.id}: {step}"
        for entry in load_catalogue().values()
        for step in wrong_steps(f"{entry.cause}\n{entry.remedy}", bare=False)
    }
    assert wrong == set()


def keys_of(model: type[Section]) -> dict[str, set[str]]:
    """Return the keys below each key of a file."""
    below: dict[str, set[str]] = {}
    for name, hint in get_type_hints(model).items():
        inner = [one for one in (hint, *get_args(hint)) if isinstance(one, type)]
        for one in inner:
            if issubclass(one, Section):
                below[name] = set(get_type_hints(one))
                below |= {f"{name}.{key}": found for key, found in keys_of(one).items()}
    return below


@pytest.mark.parametrize("model", [Recipe, ProjectFile])
def test_every_key_that_is_named_exists(model: type[Section]) -> None:
    known = keys_of(model)
    wrong = set()
    for one in told((*HINTS, *STATEMENTS)):
        for section, key in re.findall(r"(?<![\w./])([a-z]+)\.([a-z][a-z0-9_]+)\b", one.text):
            if section in known and key not in {*known[section], *FILES}:
                wrong.add(f"{one.file}:{one.line}: {section}.{key}")
    assert wrong == set()


#: Endings of files that are called like a key.
FILES = frozenset({"json", "onnx", "py", "yaml", "npy", "txt", "alls", "hef"})


def test_the_walk_finds_what_is_wrong() -> None:
    assert list(wrong_steps("Try: hef biuld digits")) == ["hef biuld"]
    assert list(wrong_steps("hef build digits --fast")) == ["hef build --fast", "--fast"]
    assert list(wrong_steps("hef device forget NAME")) == ["hef device forget"]
    assert list(wrong_steps("Add --no-cache to it.")) == ["--no-cache"]
    assert list(wrong_steps("hef needs 3.11; hef build x --arch hailo8")) == []
    assert AMERICAN.search(CODE.sub("", "the color is wrong")) is not None
    assert AMERICAN.search(CODE.sub("", "write color: bgr in optimization.level")) is None
    assert not is_prose("hef cache gc") and is_prose("name the file that it is")
