"""Turns ``failures.yaml``, which people write, into ``failures.json``, which the program reads.

YAML takes ten times as long to read, and the words that a pattern needs are found here once
instead of at every start. ``python -m orchestrator.diagnose.compiled`` writes the file anew; a
test says when that was forgotten. JSON holds data only: nothing of it is ever executed.
"""

from __future__ import annotations

import hashlib
import json
from importlib import resources
from pathlib import Path

from orchestrator.diagnose.anchors import required_sets

SOURCE = "failures.yaml"
COMPILED = "failures.json"

_MACROS = {
    " ... ": r".{0,80}?",
    "{ver}": r"v?\d+(?:\.\d+){1,3}",
    "{not}": r"(?:not|no|never|without|missing|cannot|unable to|failed to|failure to)",
    "{found}": r"(?:found|detected|available|present|visible|usable|suitable)",
}


def expand(pattern: str) -> str:
    """Return ``pattern`` with the abbreviations of the list written out."""
    for short, long in _MACROS.items():
        pattern = pattern.replace(short, long)
    return pattern


def compile_failures(text: str) -> str:
    """Return the JSON for the YAML ``text``; raises ``ValueError``, ``KeyError`` or ``TypeError``
    for a list that is no list of failures."""
    import yaml

    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    entries = [_entry(raw) for raw in document["failures"]]
    digest = hashlib.sha256(text.encode()).hexdigest()
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
    return f'{{"source": "{digest}", "failures": [\n{lines}\n]}}\n'


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
        "unless": _alternatives(raw.get("unless")),
    }
    if raw.get("recipe"):
        entry["recipe"] = str(raw["recipe"]).rstrip("\n")
    if raw.get("umbrella"):
        entry["umbrella"] = True
    if raw.get("yields_to"):
        entry["yields_to"] = _strings(raw["yields_to"])
    if raw.get("rule"):
        entry["rule"] = str(raw["rule"])
    return entry


def _alternatives(value: object) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    several: list[list[str]] = []
    for item in value if isinstance(value, list) else []:
        if isinstance(item, list):
            several.append([str(part) for part in item])
        else:
            several.extend([part] for part in _branches(str(item)))
    for parts in several:
        words = {some: None for part in parts for some in required_sets(expand(part))}
        found.append({"parts": parts, "words": [sorted(some) for some in words]})
    return found


def _branches(pattern: str) -> list[str]:
    """Split ``a|b`` in two, each of which needs words of its own; not where groups are named."""
    if "(?P<" in pattern:
        return [pattern]
    found, depth, index = [""], 0, 0
    while index < len(pattern):
        char = pattern[index]
        end = index + 1
        if char == "\\":
            end = index + 2
        elif char == "[":
            end = pattern.index("]", index + 2) + 1
        depth += (char == "(") - (char == ")")
        if char == "|" and depth == 0:
            found.append("")
        else:
            found[-1] += pattern[index:end]
        index = end
    return found


def _strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [str(item) for item in value] if isinstance(value, list) else []


def main() -> None:
    """Write ``failures.json`` beside ``failures.yaml``."""
    folder = resources.files("orchestrator.diagnose")
    text = folder.joinpath(SOURCE).read_text("utf-8")
    Path(str(folder.joinpath(COMPILED))).write_text(compile_failures(text), encoding="utf-8")


if __name__ == "__main__":
    main()
