"""What ``hef`` says in another language than English: the summary, findings and hints.

Messages are made in English, in many rooms and in the container, and stay so in files, events and
JSON. They are put into the user's language where they are shown, by a catalogue of gettext
(``languages/pt_BR.mo``). A message with values in it is found by its template, in which a value is
``%1``, ``%2`` and so on. What a catalogue lacks is shown in English.
"""

from __future__ import annotations

import os
import re
from functools import cache
from gettext import GNUTranslations
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import ConfigError, escape_control

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Names the language for ``hef`` alone; ``--lang`` sets it.
VARIABLE = "HEFSMITH_LANG"
FOLDER = Path(__file__).parent / "languages"
ENGLISH = "en"

#: A longer text is none of our messages.
LONGEST = 4000
#: A template of fewer letters stands for words only, not for sentences.
LEAST = 4
#: Parts of a message that are messages: a headline has a reason, which has a number.
DEEPEST = 3
#: What stands before a sentence, with a colon.
HEADS = ("error", "hint", "next", "note", "taken", "warning")
#: What the end of any sentence may say.
TAILS = (" (emulated)", " (emulated: no chip is measured)")

#: A value; not the ``%40`` of an address.
_VALUE = re.compile(r"%(\d)(?!\d)")


def languages() -> list[str]:
    """Return the languages that there are: English, and one for each catalogue."""
    return [ENGLISH, *sorted(path.stem.replace("_", "-") for path in FOLDER.glob("*.mo"))]


def use(name: str) -> None:
    """Speak a language from here on. Raises :class:`ConfigError` where there is no such one."""
    known = languages()
    if _fitting(name, known) is None:
        msg = f"hef is not translated into {escape_control(name)!r}"
        raise ConfigError(msg, hint=f"Languages: {', '.join(known)}.", code="language.missing")
    os.environ[VARIABLE] = name


def preferred(environ: Mapping[str, str]) -> list[str]:
    """Return the languages that an environment asks for, the dearest first; pure.

    As gettext has it: ``LANGUAGE`` may list several, and counts only where the locale is not C.
    """
    if environ.get(VARIABLE):
        return [environ[VARIABLE]]
    names = ("LC_ALL", "LC_MESSAGES", "LANG")
    locale = next((environ[name] for name in names if environ.get(name)), "")
    if locale.partition(".")[0] in ("C", "POSIX"):
        return []
    listed = [name for name in environ.get("LANGUAGE", "").split(":") if name]
    return listed or ([locale] if locale else [])


def chosen(environ: Mapping[str, str], known: Sequence[str]) -> str:
    """Return the language of an environment among those known, English where none fits; pure."""
    for name in preferred(environ):
        found = _fitting(name, known)
        if found is not None:
            return found
    return ENGLISH


def _fitting(name: str, known: Sequence[str]) -> str | None:
    """Return ``pt-BR`` for ``pt_BR.UTF-8``, ``pt-br`` or ``pt``; Portugal reads Brazil's, too."""
    bare = re.split(r"[.@]", name)[0].replace("_", "-").lower()
    exact = [one for one in known if one.lower() == bare]
    alike = [one for one in known if one.partition("-")[0].lower() == bare.partition("-")[0]]
    return next(iter([*exact, *alike]), None)


def told(text: str) -> str:
    """Return a message in the user's language; as it is where nobody has put it into words."""
    if not _wanted(os.environ):
        return text
    catalogue = _catalogue(chosen(os.environ, languages()))
    return text if catalogue is None else catalogue.tell(text)


def _wanted(environ: Mapping[str, str]) -> bool:
    """Tell whether anything but English is asked for, without a look at the disk."""
    return any(_fitting(name, (ENGLISH,)) is None for name in preferred(environ))


@cache
def _catalogue(language: str) -> Catalogue | None:
    path = FOLDER / f"{language.replace('-', '_')}.mo"
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return Catalogue(file)


class Catalogue(GNUTranslations):
    """A catalogue of gettext whose messages may have values in them."""

    @property
    def messages(self) -> dict[str, str]:
        """What it translates, and how."""
        found: dict[str, str] = getattr(self, "_catalog", {})
        return {one: said for one, said in found.items() if isinstance(one, str) and one}

    def tell(self, text: str, depth: int = 0) -> str:
        """Return a text in this language: as a whole, by its template, or line by line."""
        if len(text) > LONGEST or depth > DEEPEST or not re.search(r"[a-z]{2}", text):
            return text
        said = self.gettext(text)
        if said != text:
            return said
        for tail in TAILS:
            if text.endswith(tail):
                return self.tell(text.removesuffix(tail), depth) + self.gettext(tail)
        found = self._by_template(text, depth)
        if found is not None:
            return found
        head, colon, rest = text.partition(": ")
        if colon and head in HEADS:
            return f"{self.gettext(head)}: {self.tell(rest, depth)}"
        bare = text.lstrip(" ")
        if bare != text:
            # How far a line stands in is no part of its message.
            return text.removesuffix(bare) + self.tell(bare, depth)
        if "\n" in text:
            return "\n".join(self.tell(line, depth + 1) for line in text.split("\n"))
        return text

    def _by_template(self, text: str, depth: int) -> str | None:
        for template, longest in self._templates():
            if longest not in text:
                continue
            found = _pattern(template).fullmatch(text)
            if found is None:
                continue
            short = len(re.findall(r"[^\W\d]", _VALUE.sub("", template))) < LEAST
            if short and any(" " in value for value in found.groups()):
                # "%1 for %2" would be found in the middle of any sentence.
                continue
            values = [self.tell(value, depth + 1) for value in found.groups()]
            if _says_little(template) and any(
                " " in value and value == found[number]
                for number, value in enumerate(values, start=1)
            ):
                continue  # it may be another sentence that begins alike
            return _filled(self.gettext(template), values)
        return None

    def _templates(self) -> list[tuple[str, str]]:
        """Return the templates, those that say most first, each with its longest piece."""
        if not hasattr(self, "_sorted"):
            found = [one for one in self.messages if _VALUE.search(one)]
            found.sort(key=lambda one: len(_VALUE.sub("", one)), reverse=True)
            self._sorted = [(one, max(_VALUE.split(one)[::2], key=len)) for one in found]
        return self._sorted


def _says_little(template: str) -> bool:
    """Tell whether other messages may fit a template, too: it has less than four words.

    Three do where a colon says that another program's words follow.
    """
    quotes = re.search(r": %\d\.?$", template) is not None
    return len(re.findall(r"[A-Za-z]{2,}", _VALUE.sub(" ", template))) < (3 if quotes else 4)


def _filled(template: str, values: Sequence[str]) -> str:
    return _VALUE.sub(lambda one: values[int(one[1]) - 1], template)


@cache
def _pattern(template: str) -> re.Pattern[str]:
    pieces = _VALUE.split(template)[::2]
    return re.compile("(.*?)".join(re.escape(piece) for piece in pieces), re.DOTALL)
