"""The known failures of ``failures/*.yaml``, read from its compiled form when they are needed.

Patterns are regular expressions for folded text (:func:`orchestrator.diagnose.words.text.fold`):
one space, no quotes, no contractions, any case. `` ... `` between two words stands for up to
80 characters, ``{ver}`` for a version. An alternative that is a list wants all of its parts,
in any order, in one message. ``match`` holds wording that belongs to one cause alone; it
asserts. ``hint`` holds words that may mean it; they make it ``possible``. ``beside`` holds what
must stand elsewhere in the log, too, ``without`` what must not; there the parts of a list may be
in different lines. An entry that has only these says more than those of ``over``, where one of
them was found.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from typing import TYPE_CHECKING, Any, cast

from orchestrator.diagnose.compiled import COMPILED, expand
from orchestrator.diagnose.printed import ORDERS, with_text
from orchestrator.errors import HefsmithError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.diagnose.finding import Fault, Severity
    from orchestrator.diagnose.required import Words


class CatalogueError(HefsmithError):
    """The list of known failures in this installation is damaged."""

    default_code = "diagnose.catalogue"


@dataclass(frozen=True)
class Alternative:
    """One way in which a failure shows itself: all ``parts`` in one message."""

    parts: tuple[str, ...]
    #: Sets of lower-case words; a message needs one word of each set, or cannot match.
    required: tuple[Words, ...] = ()
    #: False for a hint: it may mean the failure, and may mean another.
    certain: bool = True

    @cached_property
    def patterns(self) -> tuple[tuple[re.Pattern[str], bool], ...]:
        """The parts, compiled on first use, each with whether it is for text in small letters."""
        return tuple(_compile(expand(part)) for part in self.parts)

    def search(self, text: str, lower: str | None = None) -> Mapping[str, str] | None:
        """Return what was captured when every part is in ``text``, else ``None``.

        ``lower`` is ``text`` in small letters, if it is plain ASCII: looked through much faster.
        """
        captured: dict[str, str] | None = None
        for pattern, small in self.patterns:
            if lower is not None and small:
                match = pattern.search(lower)
            else:
                match = (_any_case(pattern) if small else pattern).search(text)
            if match is None:
                return None
            if captured is None:
                captured = {}
            for name in pattern.groupindex:
                start, end = match.span(name)
                # What is not there lies at -1.
                if start < end:
                    captured[name] = text[start:end].strip()
        if captured and not ORDERS.keys().isdisjoint(captured):
            return with_text(captured)
        return captured if captured is not None else {}


#: Signs by which a pattern looks at the case of letters, or names one in capitals. Escapes and
#: names of groups are taken out before.
_CASED = re.compile(r"[A-Z]|\(\?-?[a-z]*i|\(\?P=")
_NO_CASE = re.compile(r"\\.|\(\?P<\w+>")


def _compile(pattern: str) -> tuple[re.Pattern[str], bool]:
    """Compile a pattern of the list; one that has no capitals is for text in small letters."""
    small = pattern.isascii() and _CASED.search(_NO_CASE.sub("", pattern)) is None
    return re.compile(pattern, 0 if small else re.IGNORECASE), small


@cache
def _any_case(pattern: re.Pattern[str]) -> re.Pattern[str]:
    """Return ``pattern`` for text in which the case of letters is as it was."""
    return re.compile(pattern.pattern, re.IGNORECASE)


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
    hint: tuple[Alternative, ...] = ()
    unless: tuple[Alternative, ...] = ()
    #: Ways in which the log shows this cause, each of single wordings; and such as refute it.
    beside: tuple[tuple[Alternative, ...], ...] = ()
    without: tuple[tuple[Alternative, ...], ...] = ()
    #: Entries that say less of the same failure: where this one is proven they are not told.
    over: tuple[str, ...] = ()
    recipe: str | None = None
    umbrella: bool = False
    yields_to: tuple[str, ...] = ()
    rule: str | None = None
    #: Programs in which it can occur; none means any.
    where: tuple[str, ...] = ()
    #: What would make a possible cause certain.
    confirm: str | None = None
    #: What the innermost frame of the traceback must hold: the code in which it was raised.
    frame: re.Pattern[str] | None = None
    #: What kind of thing it tells (:data:`orchestrator.diagnose.traits.TRAITS`).
    traits: frozenset[str] = frozenset()
    #: Steps that show it to be over when they went well later (``survived.STEPS``).
    ended_by: frozenset[str] = frozenset()
    #: Entries that are only possible beside this one.
    doubts: tuple[str, ...] = ()

    def vetoed(self, text: str) -> bool:
        """Tell whether something in the message takes a match back."""
        return any(veto.search(text) is not None for veto in self.unless)


def _alternatives(value: object, *, certain: bool = True) -> tuple[Alternative, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(
        Alternative(tuple(item["parts"]), tuple(frozenset(some) for some in item["words"]), certain)
        for item in value
    )


def _ways(value: object) -> tuple[tuple[Alternative, ...], ...]:
    return tuple(map(_alternatives, value)) if isinstance(value, list) else ()


def _entry(raw: Mapping[str, Any]) -> Entry:
    return Entry(
        id=raw["id"],
        stage=raw["stage"],
        severity=cast("Severity", raw["severity"]),
        fault=cast("Fault", raw["fault"]),
        cause=raw["cause"],
        remedy=raw["remedy"],
        sources=tuple(raw["sources"]),
        match=_alternatives(raw["match"]),
        hint=_alternatives(raw["hint"], certain=False),
        unless=_alternatives(raw["unless"]),
        beside=_ways(raw.get("beside")),
        without=_ways(raw.get("without")),
        over=tuple(raw.get("over", ())),
        recipe=raw.get("recipe"),
        umbrella=raw.get("umbrella", False),
        yields_to=tuple(raw.get("yields_to", ())),
        rule=raw.get("rule"),
        where=tuple(raw.get("where", ())),
        confirm=raw.get("confirm"),
        frame=re.compile(raw["frame"]) if "frame" in raw else None,
        traits=frozenset(raw.get("traits", ())),
        ended_by=frozenset(raw.get("ended_by", ())),
        doubts=tuple(raw.get("doubts", ())),
    )


@cache
def _document() -> Mapping[str, Any]:
    text = resources.files("orchestrator.diagnose").joinpath(COMPILED).read_text("utf-8")
    return cast("Mapping[str, Any]", json.loads(text))


@cache
def load_catalogue() -> Mapping[str, Entry]:
    """Return the known failures by id, in the order of the lists."""
    try:
        entries = [_entry(raw) for raw in _document()["failures"]]
    except (ValueError, KeyError, TypeError) as error:
        msg = f"the list of known failures cannot be read: {error}"
        raise CatalogueError(msg, hint="Install hefsmith again.") from error
    return {entry.id: entry for entry in entries}


@cache
def having(trait: str) -> frozenset[str]:
    """Return the ids of the entries that have ``trait``."""
    return frozenset(name for name, entry in load_catalogue().items() if trait in entry.traits)


def meaning_of(status: str) -> tuple[str, str] | None:
    """Return name and meaning of a status of HailoRT, given by name or by number."""
    found = _document()["statuses"].get(status.lower())
    return (found[0], found[1]) if found else None
