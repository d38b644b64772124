"""Turns the lists that people write into ``failures.json``, which the program reads.

``failures/*.yaml`` are the known failures, ``statuses.yaml`` the statuses of HailoRT.

YAML takes ten times as long to read, and the words that a pattern needs are found here once
instead of at every start. ``python -m orchestrator.diagnose.compiled`` writes the file anew; a
test says when that was forgotten. JSON holds data only: nothing of it is ever executed.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections import Counter
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from orchestrator.diagnose.finding import Fault, Severity
from orchestrator.diagnose.required import branches, required_sets
from orchestrator.diagnose.traits import STEPS, TRAITS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SOURCES = "failures"
STATUSES = "statuses.yaml"
COMPILED = "failures.json"

_MACROS = {
    " ... ": r".{0,80}?",
    "{ver}": r"v?\d+(?:\.\d+){1,3}",
    "{not}": r"(?:not|no|never|without|missing|cannot|unable to|failed to|failure to)",
    "{found}": r"(?:found|detected|available|present|visible|usable|suitable)",
}

#: A gap behind HailoRT's name: in a hailort.log level, file, line and function stand in it, of any
#: length.
_BEHIND_NAME = re.compile(
    r"(\\\[hailort(?:\(\?: cli\)\?)?\\\](?: \\\[(?:error|\(\?:error\|critical\))\\\])?)(?= \.\.\. )"
)
_PLACE = r"(?: \[\w+\])?(?: \[\w+\.\w+:\d+\] \[[^\]]{0,150}\])?"


def expand(pattern: str) -> str:
    """Return ``pattern`` with the abbreviations of the list written out."""
    pattern = _BEHIND_NAME.sub(lambda found: found[1] + _PLACE, pattern)
    for short, long in _MACROS.items():
        pattern = pattern.replace(short, long)
    return pattern


def sources() -> dict[str, str]:
    """Return the texts of the lists by name, in the order in which they are read."""
    folder = resources.files("orchestrator.diagnose")
    lists = sorted(one.name for one in folder.joinpath(SOURCES).iterdir() if ".yaml" in one.name)
    texts = {name: folder.joinpath(SOURCES, name).read_text("utf-8") for name in lists}
    return texts | {STATUSES: folder.joinpath(STATUSES).read_text("utf-8")}


def compile_failures(texts: Mapping[str, str]) -> str:
    """Return the JSON for the lists ``texts``.

    Raises ``ValueError`` that names the entry and what is wrong with it; ``KeyError`` or
    ``TypeError`` for what is no list of failures at all.
    """
    import yaml

    class Once(yaml.SafeLoader):
        """Refuses a key that stands twice, as two changes of one entry leave when merged."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            found = super().construct_mapping(node, deep)
            if len(found) < len(node.value):
                raise yaml.MarkedYAMLError(None, None, "a key stands twice", node.start_mark)
            return found

    try:
        documents = {name: yaml.load(text, Once) for name, text in texts.items()}  # noqa: S506
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    groups = documents.pop(STATUSES)
    raw = [entry for document in documents.values() for entry in document]
    for entry in raw:
        _check(entry)
    known = {str(entry["id"]): entry for entry in raw}
    if len(known) != len(raw):
        ids = Counter(str(entry["id"]) for entry in raw)
        msg = "in the lists twice: " + ", ".join(name for name, count in ids.items() if count > 1)
        raise ValueError(msg)
    for group in groups:
        patterns, weak = status_patterns(group)
        if group.get("entry"):
            entry = known[group["id"]]
            entry["match"] = [*entry.get("match", []), *patterns]
            entry["hint"] = [*entry.get("hint", []), *weak]
        else:
            raw.append({**_STATUS, **group, "match": patterns, "hint": weak})
    known |= {str(group["id"]): group for group in groups}
    for entry in raw:
        for name in ("over", "doubts"):
            if strange := set(_strings(entry.get(name))) - known.keys():
                shown = ", ".join(sorted(strange))
                msg = f"entry {entry['id']} names {shown} in {name}, which no list has"
                raise ValueError(msg)
    entries = [_entry(entry) for entry in raw]
    digest = hashlib.sha256("\0".join(texts.values()).encode()).hexdigest()
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
    meanings = json.dumps(_meanings(groups), ensure_ascii=False)
    return f'{{"source": "{digest}", "statuses": {meanings}, "failures": [\n{lines}\n]}}\n'


#: What each entry of the lists has, and what it may have.
_NEEDED = ("id", "stage", "severity", "fault", "cause", "remedy", "source")
_ALLOWED = ("match", "hint", "unless", "beside", "without", "over", "where", "yields_to",
            "umbrella", "confirm", "frame", "rule", "recipe", "traits", "ended_by",
            "doubts")  # fmt: skip
#: Lists of words that an entry may have, and the words.
_WORDS = {"traits": TRAITS.keys(), "ended_by": STEPS.keys()}


def _check(entry: Mapping[str, object]) -> None:
    """See to it that an entry is whole: a misspelt key would be left out in silence."""
    wrong = [f"has no {name}" for name in _NEEDED if entry.get(name) is None]
    strange = sorted(entry.keys() - {*_NEEDED, *_ALLOWED})
    wrong += [f"has {name}, which nothing reads" for name in strange]
    if broken := [one for one in _patterns(entry) if not _compiles(one)]:
        name = entry.get("id", "?")
        msg = f"entry {name} of the lists has a wording that is not a pattern: {broken[0]}"
        raise ValueError(msg)
    for name in ("beside", "without"):
        # A line is known by its words: of one without any, other digits would not be looked at.
        single = [one for way in _ways(entry.get(name)) for one in way]
        bare = [one["parts"][0] for one in single if not one["words"]]
        wrong += [f"has a wording in {name} that needs no word: {one}" for one in bare]
    if entry.get("beside") and not (entry.get("match") or entry.get("hint") or entry.get("over")):
        wrong.append("has beside, and no match, hint or over that it belongs to")
    for name, words in (("severity", get_args(Severity)), ("fault", get_args(Fault))):
        if entry.get(name, words[0]) not in words:
            wrong.append(f"{name} is one of {', '.join(words)}, not {entry[name]}")
    for name, known in _WORDS.items():
        strange = sorted(set(_strings(entry.get(name))) - known)
        wrong += [f"has {one} in {name}, which means nothing" for one in strange]
    if wrong:
        msg = f"entry {entry.get('id', '?')} of the lists {'; '.join(wrong)}"
        raise ValueError(msg)


def _patterns(entry: Mapping[str, object]) -> Iterable[str]:
    """Yield every wording of an entry, as it is looked for."""
    for name in ("match", "hint", "unless", "beside", "without"):
        value = entry.get(name)
        for item in value if isinstance(value, list) else []:
            if isinstance(item, list):
                yield from map(str, item)
            elif name in {"beside", "without"}:
                yield str(item)
            else:
                yield from branches(str(item))


def _compiles(pattern: str) -> bool:
    try:
        re.compile(expand(pattern))
        required_sets(expand(pattern))
    except (re.error, ValueError):
        return False
    return True


#: What all groups of statuses have in common.
_STATUS = {
    "stage": "run",
    "umbrella": True,
    "yields_to": ["run", "ship", "T"],
    "source": ["https://github.com/hailo-ai/hailort"],
}


#: Others' devices, unless HailoRT is named beside them.
_OTHERS = (
    r"^(?!.*\b(?:v4l2?|libusb|usb|alsa|audio|portaudio|camera|serial|i2c|spi|drm|cuda|bluetooth|hci\d"
    r"|mdadm|nvidia|vulkan|network|disk|block|display)\b"
    r"(?!.*(?:hailo|hef|v(?:device|stream)|infer)))"
)
_Patterns = list[str | list[str]]


def status_patterns(group: Mapping[str, Any]) -> tuple[_Patterns, _Patterns]:
    """Return patterns for the names, numbers and exceptions of a group of statuses, and those
    for numbers that may be another program's: no word of HailoRT's stands beside them."""
    named = sorted(
        name.lower().removeprefix("hailo_")
        for _, words in group["names"].items()
        for name in (words[0], *words[2:])
    )
    numbers = "|".join(map(str, group["names"]))
    number = f"(?P<code>{numbers})"
    # What HailoRT is asked for, in its own names and in those of programs and bindings.
    asked = (
        r"(?<!status=)(?<!status )(?<!status: )hailo_(?:create|configure|init|open|scan|get|set"
        r"|release|activate|wait|make|identify|v?device|v?stream|network|infer)_\w+|wait_for_async_ready"
        r"|vdevice|hefs?|(?:configured ?)?infer ?model|network[ _]?groups?|hailo\w* device"
        r"|(?:infer|(?:in|out)put ?)?vstreams?|(?:async |infer ){1,2}job"
    )
    # Others have devices, too, which they create, open and configure.
    device = r"\b(?:creat|open|configur|scann?|identify)\w* (?:(?:a|the|pcie) )?device\b"
    call = rf"\b(?:{asked})\b(?:(?:::|\.)\w+)?"
    bad = r"\b(?:failed|error|could not|cannot|unable)\b"
    status = rf"(?<!exit )(?<!return )\bstatus(?: code)?\W{{0,3}}{number}\b(?![/\d]|\.\d| of\b)"
    alone = rf"(?:: |, | ?= ?|\(| with |\W+(?:error|code)\W{{1,3}}){number}\)?$"
    # Most lines that speak of a failure have none of the numbers, and are left at once.
    there = rf"\b(?:{numbers})\b"
    running = rf"{device}|\b(?:inference|pipeline)\b"
    bare = r"\b(?! ?\(hailo_)"
    weak: _Patterns = [
        [there, running, rf"{bad}.{{0,60}}(?:{running}).{{0,30}}?{status}"],
        [there, device, rf"{device}.{{0,24}}?{bad}.{{0,12}}?{status}"],
        [
            there,
            device,
            _OTHERS,
            rf"(?:{bad}.{{0,40}}{device}[\w ]{{0,30}}?|{device} failed){alone}",
        ],
    ]
    patterns: _Patterns = [
        rf"\b(?P<status>hailo_(?:{'|'.join(named)}))\b",
        rf"(?:libhailort failed with error|hailortstatusexception)\W{{1,3}}{number}{bare}",
        rf"\bhailo(?:rt)?[ _]?(?:status|error)(?: code)?\W{{1,3}}{number}{bare}",
        rf"\bhailort(?:exception)?: (?:[\w ]{{2,40}}: status[_ ])?{number}$",
        [there, call, rf"{bad}.{{0,60}}{call}.{{0,30}}?{status}"],
        [there, call, rf"{call}.{{0,24}}?{bad}.{{0,12}}?{status}"],
        [there, call, rf"{bad}.{{0,40}}{call}[\w ]{{0,30}}?{alone}"],
        # Not how many of them failed.
        [there, call, rf"(?<!\d ){call}(?:\(\))? failed{alone}"],
        # Its own checks, and what its logger prints.
        [
            there,
            r"\bcheck_\w+ failed\b|\[hailort[^\]]*\] \[(?:error|critical|warning)\]",
            rf"{bad}.{{0,160}}?{status}",
        ],
        # Hailo's own examples.
        rf"^(?:\W*error\W*)?failed (?:reading|writing|inferr?ing) with {status}",
        rf"^(?:\W*error\W*)?failed (?:to )?creat(?:e|ing) v(?:device|streams?):? ?{number}$",
    ]
    classes = [name.lower() for name in group.get("classes", ())]
    return [*patterns, *(rf"\b{name}\b" for name in classes), *group.get("said", ())], weak


def _meanings(groups: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return what each status means: by name in small letters and by number; with its name."""
    found: dict[str, list[str]] = {}
    for group in groups:
        for number, (name, meaning, *older) in group["names"].items():
            for key in (str(number), name, *older):
                found[key.lower()] = [f"{name} ({number})", meaning]
    return found


def _entry(raw: dict[str, object]) -> dict[str, object]:
    entry: dict[str, object] = {
        "id": str(raw["id"]),
        "stage": str(raw["stage"]),
        "severity": str(raw["severity"]),
        "fault": str(raw["fault"]),
        "cause": " ".join(str(raw["cause"]).split()),
        "remedy": " ".join(str(raw["remedy"]).split()),
        "sources": _strings(raw.get("source")),
        "match": _alternatives(raw.get("match")),
        "hint": _alternatives(raw.get("hint")),
        "unless": _alternatives(raw.get("unless")),
    }
    for name in ("where", "yields_to", "over", "traits", "ended_by", "doubts"):
        if raw.get(name):
            entry[name] = _strings(raw[name])
    for name in ("beside", "without"):
        if raw.get(name):
            entry[name] = _ways(raw[name])
    if raw.get("recipe"):
        entry["recipe"] = str(raw["recipe"]).rstrip("\n")
    if raw.get("umbrella"):
        entry["umbrella"] = True
    for name in ("rule", "confirm", "frame"):
        if raw.get(name):
            entry[name] = str(raw[name])
    return entry


def _alternatives(value: object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    several: list[list[str]] = []
    for item in value if isinstance(value, list) else []:
        if isinstance(item, list):
            several.append([str(part) for part in item])
        else:
            several.extend([part] for part in branches(str(item)))
    for parts in several:
        words = {some: None for part in parts for some in required_sets(expand(part))}
        found.append({"parts": parts, "words": [sorted(some) for some in words]})
    return found


def _ways(value: object) -> list[list[dict[str, Any]]]:
    """Return ways of single wordings each: those of a list may stand in different lines."""
    items = value if isinstance(value, list) else []
    return [
        [one for part in item for one in _alternatives([[part]])]
        if isinstance(item, list)
        else _alternatives([[item]])
        for item in items
    ]


def _strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [str(item) for item in value] if isinstance(value, list) else []


def main() -> None:
    """Write ``failures.json`` beside the lists."""
    target = resources.files("orchestrator.diagnose").joinpath(COMPILED)
    try:
        text = compile_failures(sources())
    except ValueError as error:
        sys.exit(str(error))
    Path(str(target)).write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
