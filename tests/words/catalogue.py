"""Catalogues: ``orchestrator/languages/NAME.po`` for people, ``NAME.mo`` for the program."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from orchestrator.language import FOLDER
from tests.words.source import messages, needs_words

#: Kinds of messages that a language is held to have nearly all of.
KINDS = ("advice", "count", "finding", "fix", "hint", "line", "summary", "title", "why")
#: Kinds of which it has what users meet most: errors, and what ``hef explain`` says of a log.
MORE = ("cause", "error", "filling", "remedy", "said")

#: Kinds that may be a word or two.
SHORT = {"count": "[a-z]{3}", "filling": "^(?:an?|A|the) [a-z]{3}", "title": "[a-z]{3}"}


def wanted(kinds: Sequence[str] = (*KINDS, *MORE)) -> dict[str, str]:
    """Return the messages that catalogues have, each with the file that says it."""
    found = (
        one
        for one in messages()
        if one.kind in kinds
        and (needs_words(one.text) or (one.kind in SHORT and re.search(SHORT[one.kind], one.text)))
    )
    return {one.text: one.file for one in reversed(list(found))}


def read(path: Path) -> Catalog:
    """Return a catalogue as it stands in its file."""
    with path.open("rb") as file:
        return read_po(file, locale=path.stem)


def renewed(path: Path, more: Mapping[str, str] | None = None) -> bytes:
    """Return the text of a catalogue for today's messages; what it has of them is kept.

    ``more`` are translations to take in.
    """
    have = {str(one.id): str(one.string) for one in read(path)} if path.is_file() else {}
    have.update(more or {})
    new = Catalog(locale=path.stem, project="hefsmith", version="1", fuzzy=False)
    new.header_comment = f"# The words of hef in {path.stem}: see docs/messages.md."
    for text, file in sorted(wanted().items(), key=lambda one: (one[1], one[0])):
        new.add(text, have.get(text, ""), locations=[(file, None)])
    out = io.BytesIO()
    write_po(out, new, width=100, omit_header=False, include_lineno=False)
    return _without_dates(out.getvalue())


def compiled(path: Path) -> bytes:
    """Return what the program reads for a catalogue: the messages that have words."""
    catalogue = read(path)
    # The same tomorrow, or every run would be a change.
    catalogue.creation_date = catalogue.revision_date = datetime(2026, 1, 1, tzinfo=UTC)
    out = io.BytesIO()
    write_mo(out, catalogue)
    return out.getvalue()


def _without_dates(text: bytes) -> bytes:
    """Return a catalogue that is the same tomorrow: no dates, no version of the tool."""
    fickle = (
        rb'^"(POT-Creation-Date|PO-Revision-Date|Generated-By|Last-Translator|'
        rb"Report-Msgid-Bugs-To|Language-Team).*\n"
    )
    return re.sub(fickle, b"", text, flags=re.MULTILINE)


def catalogues() -> list[Path]:
    """Return the catalogues that there are."""
    return sorted(FOLDER.glob("*.po"))
