"""How commands speak: results on stdout, everything else on stderr, JSON when asked."""

from __future__ import annotations

import json
import os
import re
import sys
from io import TextIOWrapper
from typing import TYPE_CHECKING

from orchestrator.errors import escape_control, shorten

if TYPE_CHECKING:
    from typing import TextIO

    from rich.console import Console

    from orchestrator.errors import HefsmithError


#: Lines of one message that are shown.
MOST_LINES = 60


def says_everything(encoding: str | None) -> bool:
    """Tell whether an encoding has all characters; code pages of Windows have 256."""
    return (encoding or "").lower().replace("_", "-").startswith(("utf-8", "utf8", "utf-16"))


def screen_width() -> int | None:
    """Return the columns of the screen that results go to; ``None`` for a file or a pipe."""
    import shutil

    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def speak_plainly(*streams: object) -> None:
    """Let streams escape what their encoding lacks, where it would end the program otherwise.

    A pipe or a file of Windows gets the code page of the system, whatever a recipe is called.
    """
    for stream in streams:
        if not isinstance(stream, TextIOWrapper) or says_everything(stream.encoding):
            continue
        if stream.errors in ("strict", "surrogateescape"):  # the latter in the locale C
            stream.reconfigure(errors="backslashreplace")


#: What a terminal takes for a command or an order of writing, and half signs; JSON can say them in
#: ASCII.
_UNSEEN = re.compile(
    "[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\U000e0000-\U000e0fff]"
)


def emit_json(document: object) -> None:
    """Print ``document`` as the one JSON document of this command, on stdout."""
    escaped = not says_everything(getattr(sys.stdout, "encoding", "utf-8"))
    text = json.dumps(document, indent=2, ensure_ascii=escaped, default=str)
    _put(sys.stdout, _UNSEEN.sub(lambda sign: json.dumps(sign[0])[1:-1], text) + "\n")


def print_result(text: str, *, quoted: bool = False) -> None:
    """Print lines of result on stdout; on a terminal, long ones go on in the next line.

    They are told in the user's language; ``quoted`` lines are a file's or another program's.
    """
    _write(sys.stdout, text if quoted else _told(text))


def note(text: str) -> None:
    """Print plain lines for the person at the terminal, on stderr, in the user's language."""
    _write(sys.stderr, _told(text))


def _told(text: str) -> str:
    from orchestrator.language import told

    return told(text)


def _write(stream: TextIO, text: str) -> None:
    if stream.isatty():
        import shutil

        text = fitted(_seen(text), shutil.get_terminal_size().columns)
    _put(stream, text + "\n")


def _put(stream: TextIO, text: str) -> None:
    """Write text, and say where that fails that it is the output and no file of the project."""
    from orchestrator.errors import ConfigError

    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        if stream is not sys.stdout:
            raise
        # What is left in its buffer would fail once more when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        msg = f"the output of this command cannot be written: {error.strerror or error}"
        hint = "See to the file or the program that it goes to; what the command did is done."
        raise ConfigError(msg, hint=hint, code="output") from error


def _seen(text: str) -> str:
    """Return text as a terminal may get it: its lines and our colours, and no other order.

    A path is printed as it is for programs; on a screen a folder's name could write over others.
    """
    if "".join(text.split("\n")).isprintable():
        return text
    kept = re.split(r"(\x1b\[[0-9;]*m|[\n\t])", text)
    return "".join(one if place % 2 else escape_control(one) for place, one in enumerate(kept))


#: Colours, which take no room on the screen.
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
#: What a line is not broken in: a word, or a number with its unit.
_PIECE = re.compile(r"\s*(?:\d\S* (?:s|ms|B|kB|MB|GB|dB)\b\S*|\S+)")
#: What a continued line keeps of its first: the indentation, a list's dash, a title and its gap.
_LEAD = re.compile(
    r"^\s*(?:- |[\w-]+(?: [\w-]+){0,4}\s{2,}"
    r"|(?:error|warning|note|hint|erro|aviso|nota|dica):\s+)?"
)


def fitted(text: str, width: int) -> str:
    """Return text with lines of at most ``width`` columns, broken between words.

    What goes on stands below its own beginning. A word that is longer, such as a path, stays
    whole: it can be copied then.
    """
    return "\n".join(part for line in text.split("\n") for part in _fitted(line, width))


def _fitted(line: str, width: int) -> list[str]:
    def room(part: str) -> int:
        return len(_COLOUR.sub("", part))

    if room(line) <= width or width < 20:
        return [line]
    lead = _LEAD.match(_COLOUR.sub("", line))
    indent = lead.end() if lead is not None else 0
    if indent > width // 2:
        indent = 4  # below its beginning there would be no room
    made: list[str] = []
    current = ""
    for word in _PIECE.findall(line):
        if current and room(current + word) > width:
            made.append(current)
            current = " " * indent + word.lstrip()
        else:
            current += word
    return [*made, current]


def console(*, stderr: bool = True) -> Console:
    """Return a Rich console; without a terminal it prints plain text, 100 columns wide."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else 100
    return Console(stderr=stderr, width=width, highlight=False, soft_wrap=not stream.isatty())


def _screen(text: str) -> list[str]:
    """Return the lines of a text as a terminal may see them: visible, and not without end.

    Whoever makes a message escapes and cuts what it quotes; this is for what was forgotten.
    """
    lines = text.split("\n")
    shown = [shorten(line.rstrip("\r"), 2000) for line in lines[:MOST_LINES]]
    left = len(lines) - len(shown)
    return [*shown, f"... and {left} lines more"] if left else shown


def print_error(error: HefsmithError, *, as_json: bool) -> None:
    """Print an error as ``error: ...`` and ``hint: ...`` on stderr, or as JSON on stdout.

    Whatever it was made of, no password and no signature of an address is in it.
    """
    from hefsmith_worker.contract.addresses import hidden

    from orchestrator.language import told

    message = hidden(error.message)
    hint = None if error.hint is None else hidden(error.hint)
    if as_json and error.code != "output":
        emit_json({"error": {**error.to_json(), "message": message, "hint": hint}})
    first, *rest = _screen(told(message))
    titles = [f"{told('error')}:", f"{told('hint')}:"]
    wide = max(map(len, titles))
    note("\n".join([f"{titles[0]} {first}", *rest]))
    if hint:
        first, *rest = _screen(told(hint))
        note(f"{titles[1]:<{wide}} {first}")
        for line in rest:
            note(f"{'':<{wide}} {line}")
