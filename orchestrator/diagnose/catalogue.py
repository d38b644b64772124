"""The known failures of ``failures.yaml``, loaded once and compiled when they are needed.

Patterns are regular expressions for folded text (:func:`orchestrator.diagnose.text.fold`):
one space, no quotes, no contractions, any case. `` ... `` between two words stands for up to
80 characters, ``{ver}`` for a version. An alternative that is a list wants all of its parts,
in any order, in one message: that is how a meaning is matched when the wording moves.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import resources
from typing import TYPE_CHECKING, cast

from orchestrator.errors import HefsmithError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.diagnose.finding import Fault, Severity

_MACROS = {
    " ... ": r".{0,80}?",
    "{ver}": r"v?\d+(?:\.\d+){1,3}",
    "{not}": r"(?:not|no|never|without|missing|cannot|unable to|failed to|failure to)",
    "{found}": r"(?:found|detected|available|present|visible|usable|suitable)",
}
_LITERAL = re.compile(r"[a-z0-9_]{3,}")


class CatalogueError(HefsmithError):
    """The list of known failures in this installation is damaged."""

    default_code = "diagnose.catalogue"


@dataclass(frozen=True)
class Alternative:
    """One way in which a failure shows itself: all ``parts`` in one message."""

    parts: tuple[str, ...]

    @cached_property
    def patterns(self) -> tuple[re.Pattern[str], ...]:
        """The parts, compiled on first use."""
        return tuple(re.compile(expand(part), re.IGNORECASE) for part in self.parts)

    @cached_property
    def anchors(self) -> tuple[str, ...]:
        """Lower-case words that must be in a message, else no part can match."""
        return tuple(word for part in self.parts if (word := required_word(part)))

    def search(self, text: str, lower: str) -> Mapping[str, str] | None:
        """Return what was captured when every part is in ``text``, else ``None``."""
        for anchor in self.anchors:
            if anchor not in lower:
                return None
        captured: dict[str, str] = {}
        for pattern in self.patterns:
            match = pattern.search(text)
            if match is None:
                return None
            captured.update({k: v.strip() for k, v in match.groupdict().items() if v})
        return captured


@dataclass(frozen=True)
class Entry:
    """One known failure. Words may hold ``{name|words when nothing was captured}``."""

    id: str
    stage: str
    severity: Severity
    fault: Fault
    cause: str
    remedy: str
    sources: tuple[str, ...]
    match: tuple[Alternative, ...] = ()
    unless: tuple[Alternative, ...] = ()
    recipe: str | None = None
    umbrella: bool = False
    yields_to: tuple[str, ...] = ()
    rule: str | None = None
    samples: tuple[str, ...] = field(default=())

    def search(self, text: str, lower: str) -> Mapping[str, str] | None:
        """Return what was captured when this entry explains the message, else ``None``."""
        for alternative in self.match:
            captured = alternative.search(text, lower)
            if captured is not None:
                if any(veto.search(text, lower) is not None for veto in self.unless):
                    return None
                return captured
        return None


def expand(pattern: str) -> str:
    """Return ``pattern`` with the abbreviations of the list written out."""
    for short, long in _MACROS.items():
        pattern = pattern.replace(short, long)
    return pattern


def required_word(pattern: str) -> str:
    """Return the longest word that every match of ``pattern`` contains, or ``""``.

    Deliberately careful: groups, classes, escapes and what a quantifier follows are left out,
    and a top-level ``|`` means that nothing is certain.
    """
    plain: list[str] = []
    depth = index = 0
    text = pattern
    for short in _MACROS:
        text = text.replace(short, "\0")
    while index < len(text):
        char = text[index]
        step = 1
        if char == "\\":
            step = 2
            if depth == 0:
                escaped = text[index + 1 : index + 2]
                plain.append("\0" if escaped.isalnum() else escaped)
        elif char == "[":
            close = text.find("]", index + 2)
            step = (close if close > 0 else len(text)) - index + 1
            plain.append("\0")
        elif char == "(":
            depth += 1
            plain.append("\0")
        elif char == ")":
            depth -= 1
        elif depth == 0 and char == "|":
            return ""
        elif depth == 0 and char in "?*{":
            if plain:
                plain[-1] = "\0"
            if char == "{":
                close = text.find("}", index)
                step = (close if close > 0 else len(text)) - index + 1
        elif depth == 0:
            plain.append("\0" if char in ".^$+" else char)
        index += step
    words = _LITERAL.findall("".join(plain).lower())
    return max(words, key=len, default="")


def _alternatives(value: object) -> tuple[Alternative, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(
        Alternative(tuple(str(part) for part in item) if isinstance(item, list) else (str(item),))
        for item in value
    )


def _strings(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(str(item) for item in value) if isinstance(value, list) else ()


def _entry(raw: Mapping[str, object]) -> Entry:
    return Entry(
        id=str(raw["id"]),
        stage=str(raw["stage"]),
        severity=cast("Severity", raw["severity"]),
        fault=cast("Fault", raw["fault"]),
        cause=" ".join(str(raw["cause"]).split()),
        remedy=" ".join(str(raw["remedy"]).split()),
        sources=_strings(raw.get("source")),
        match=_alternatives(raw.get("match")),
        unless=_alternatives(raw.get("unless")),
        recipe=str(raw["recipe"]).rstrip("\n") if raw.get("recipe") else None,
        umbrella=bool(raw.get("umbrella")),
        yields_to=_strings(raw.get("yields_to")),
        rule=str(raw["rule"]) if raw.get("rule") else None,
        samples=_strings(raw.get("samples")),
    )


@cache
def load_catalogue() -> Mapping[str, Entry]:
    """Return the known failures by id, in the order of the file."""
    import yaml

    # The C parser reads the list in a few milliseconds; the pure one takes ten times as long.
    loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    text = resources.files("orchestrator.diagnose").joinpath("failures.yaml").read_text("utf-8")
    try:
        document = yaml.load(text, Loader=loader)  # noqa: S506 (a safe loader, chosen above)
        entries = [_entry(raw) for raw in document["failures"]]
    except (yaml.YAMLError, KeyError, TypeError) as error:
        msg = f"the list of known failures cannot be read: {error}"
        raise CatalogueError(msg, hint="Install hefsmith again.") from error
    return {entry.id: entry for entry in entries}
