"""Reads the model script language (``.alls``) into commands that know where they stand.

The language, as the Model Zoo's scripts use it: ``[name[, name...] =] command(arguments)``,
one command to a line, ``#`` comments, arguments over several lines inside the brackets.
Words may hold ``/``, ``-`` and ``.`` (``net/conv1``, ``sh_from_conv1_d0-3``), patterns stand
in braces, file names in quotes.
"""

from __future__ import annotations

import bisect
import math
import re
import unicodedata
from dataclasses import dataclass, field
from typing import Dict, Iterator, List, Mapping, Optional, Tuple

from hefsmith_worker.script.values import Glob, Name, Value, render

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\Z")
_TOKEN = re.compile(
    r"""(?P<space>(?:[ \t\f\v\ufeff]|\r(?=\n))+)
    |(?P<comment>\#[^\n\r]*)
    |(?P<newline>\n|\r(?!\n))
    |(?P<string>"(?:[^"\n])*"|'(?:[^'\n])*')
    |(?P<glob>\{[^{}\n]*\})
    |(?P<word>[\w./$+\-:@]+)
    |(?P<mark>[()\[\],=])""",
    re.VERBOSE,
)
_COMMAND = re.compile(r"(?:(?P<owner>[\w./$+\-]+)\.)?(?P<name>[A-Za-z_]\w*)\Z")
_DEEPEST = 20
#: Python refuses to read much longer whole numbers, and no script has any.
_LONGEST_NUMBER = 1000
#: What word processors and web pages write in their own way.
_PLAIN = " ()[]{},=#\"'"
_TYPOGRAPHIC = "\u201c\u201d\u2018\u2019\u00ab\u00bb"
_CONSTANTS: Mapping[str, Value] = {
    "True": True, "true": True, "False": False, "false": False, "None": None, "null": None,
}  # fmt: skip


class ScriptSyntaxError(ValueError):
    """The text is no model script. ``line`` and ``column`` count from 1, ``offset`` from 0."""

    def __init__(
        self,
        line: int,
        column: int,
        message: str,
        *,
        filename: Optional[str] = None,
        offset: int = 0,
        source: str = "",
    ) -> None:
        where = f"{filename or 'model script'}:{line}:{column}"
        super().__init__(f"{where}: {message}")
        self.line = line
        self.column = column
        self.message = message
        self.filename = filename
        self.offset = offset
        self.source = source


@dataclass(frozen=True)
class Span:
    """A piece of the text: first line and column and the last ones, all from 1, end included."""

    line: int
    column: int
    end_line: int
    end_column: int


@dataclass(frozen=True)
class Command:
    """One command of a script.

    ``targets`` are the names left of ``=`` (often none). ``owner`` is what stands before the
    dot in placement lines (``context_0`` in ``context_0.place(...)``). ``positional`` and
    ``keyword`` hold typed values: :class:`~hefsmith_worker.script.values.Name` for a bare word,
    ``str`` for a quoted string, ``tuple`` for a list, ``Glob`` for braces, ``int``, ``float``,
    ``bool``, ``None``. The spans are for messages and take no part in comparing.
    """

    name: str
    targets: Tuple[str, ...] = ()
    positional: Tuple[Value, ...] = ()
    keyword: Mapping[str, Value] = field(default_factory=dict)
    owner: Optional[str] = None
    span: Span = field(default=Span(0, 0, 0, 0), compare=False)
    name_span: Span = field(default=Span(0, 0, 0, 0), compare=False)
    positional_spans: Tuple[Span, ...] = field(default=(), compare=False)
    keyword_spans: Mapping[str, Span] = field(default_factory=dict, compare=False)
    source: str = field(default="", compare=False)

    @property
    def line(self) -> int:
        """Line where the command begins, from 1."""
        return self.span.line

    @property
    def column(self) -> int:
        """Column where the command begins, from 1."""
        return self.span.column

    def render(self) -> str:
        """Write the command on one line, as :func:`parse` reads it back."""
        arguments = [render(value) for value in self.positional]
        arguments += [f"{key}={render(value)}" for key, value in self.keyword.items()]
        left = ", ".join(self.targets) + " = " if self.targets else ""
        owner = f"{self.owner}." if self.owner else ""
        return f"{left}{owner}{self.name}({', '.join(arguments)})"


@dataclass(frozen=True)
class Script:
    """A whole model script: its commands in order and the text that they came from."""

    commands: Tuple[Command, ...]
    text: str = ""
    filename: Optional[str] = None

    def __iter__(self) -> Iterator[Command]:
        return iter(self.commands)

    def __len__(self) -> int:
        return len(self.commands)

    def named(self, name: str) -> Tuple[Command, ...]:
        """Return the commands called ``name``, in order."""
        return tuple(command for command in self.commands if command.name == name)

    def render(self) -> str:
        """Write all commands, one a line, without the comments of the source."""
        return "".join(command.render() + "\n" for command in self.commands)


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int


def parse(text: str, filename: Optional[str] = None) -> Script:
    """Read a model script; raises :class:`ScriptSyntaxError` at the first thing it cannot read.

    Only the language is judged here, not whether a command exists or makes sense: that is
    :func:`hefsmith_worker.script.lint.check`.
    """
    return _Parser(text, filename).script()


class _Parser:
    def __init__(self, text: str, filename: Optional[str]) -> None:
        self.text = text
        self.filename = filename
        self.line_starts = [0] + [match.end() for match in re.finditer("\r\n|\n|\r", text)]
        self.tokens = list(self._tokens())
        self.at = 0
        self.depth = 0

    # Positions and errors.

    def position(self, offset: int) -> Tuple[int, int]:
        line = bisect.bisect_right(self.line_starts, offset)
        return line, offset - self.line_starts[line - 1] + 1

    def span(self, start: int, end: int) -> Span:
        line, column = self.position(start)
        end_line, end_column = self.position(max(end - 1, start))
        return Span(line, column, end_line, end_column)

    def error(self, offset: int, message: str) -> ScriptSyntaxError:
        line, column = self.position(offset)
        source = re.split("\r\n|\n|\r", self.text)[line - 1]
        return ScriptSyntaxError(
            line, column, message, filename=self.filename, offset=offset, source=source
        )

    # Tokens.

    def _tokens(self) -> Iterator[_Token]:
        offset = 0
        while offset < len(self.text):
            match = _TOKEN.match(self.text, offset)
            if match is None:
                raise self.error(offset, self._unreadable(self.text[offset]))
            kind = str(match.lastgroup)
            if kind not in ("space", "comment"):
                yield _Token(kind, match.group(), match.start(), match.end())
            offset = match.end()
        yield _Token("end", "", len(self.text), len(self.text))

    @staticmethod
    def _unreadable(char: str) -> str:
        if char in _TYPOGRAPHIC:
            return f"{char} is a typographic quotation mark; write a plain \" or '"
        if char in "\"'":
            return "this string has no closing quotation mark on its line"
        if char == "{":
            return "this pattern has no closing } on its line"
        plain = unicodedata.normalize("NFKC", char)
        if plain != char and plain in _PLAIN:
            name = unicodedata.name(char, "a character").lower()
            return f"{name} (U+{ord(char):04X}) stands where a plain {plain!r} belongs"
        return f"unexpected character {char!r}"

    def peek(self) -> _Token:
        if self.depth:  # inside brackets a command may go on over several lines
            while self.tokens[self.at].kind == "newline":
                self.at += 1
        return self.tokens[self.at]

    def take(self) -> _Token:
        token = self.peek()
        if token.kind != "end":
            self.at += 1
        return token

    def accept(self, mark: str) -> bool:
        token = self.peek()
        if token.kind == "mark" and token.text == mark:
            self.at += 1
            return True
        return False

    def expect(self, mark: str, why: str) -> _Token:
        token = self.peek()
        if token.kind != "mark" or token.text != mark:
            raise self.error(token.start, f"expected {mark!r} {why}, found {_describe(token)}")
        return self.take()

    # Grammar.

    def script(self) -> Script:
        commands: List[Command] = []
        while True:
            token = self.peek()
            if token.kind == "end":
                return Script(tuple(commands), self.text, self.filename)
            if token.kind == "newline":
                self.take()
                continue
            commands.append(self.command())
            after = self.peek()
            if after.kind not in ("newline", "end"):
                raise self.error(
                    after.start,
                    f"expected the end of the line after {commands[-1].name}(...), "
                    f"found {_describe(after)}; one command to a line",
                )

    def command(self) -> Command:
        start = self.peek().start
        words = [self.left_word()]
        while self.accept(","):
            words.append(self.left_word())
        targets: Tuple[str, ...] = ()
        if self.accept("="):
            targets = tuple(word.text for word in words)
            words = [self.left_word()]
        if len(words) > 1:
            token = self.peek()
            raise self.error(token.start, f"expected '=' after the names, found {_describe(token)}")
        name = words[0]
        match = _COMMAND.match(name.text)
        if name.kind != "word" or match is None:
            raise self.error(name.start, f"{name.text} is not the name of a command")
        self.expect("(", f"after {name.text}")
        self.depth += 1
        positional, positional_spans, keyword, keyword_spans = self.arguments(name)
        # The closing bracket ends the command: what follows must be on a line of its own.
        end = self.expect(")", f"to close {name.text}(").end
        self.depth -= 1
        return Command(
            match.group("name"),
            targets,
            tuple(positional),
            keyword,
            match.group("owner"),
            self.span(start, end),
            self.span(name.start + match.start("name"), name.end),
            tuple(positional_spans),
            keyword_spans,
            self.text[start:end],
        )

    def left_word(self) -> _Token:
        token = self.take()
        if token.kind == "word" or (token.kind == "glob" and token.text == "{}"):
            return token
        raise self.error(token.start, f"expected a command, found {_describe(token)}")

    def arguments(
        self, command: _Token
    ) -> Tuple[List[Value], List[Span], Dict[str, Value], Dict[str, Span]]:
        positional: List[Value] = []
        positional_spans: List[Span] = []
        keyword: Dict[str, Value] = {}
        keyword_spans: Dict[str, Span] = {}
        while not (self.peek().kind == "mark" and self.peek().text == ")"):
            key = self.peek()
            following = self.after_word()
            if key.kind == "word" and following is not None and following.text == "=":
                self.take()
                self.take()
                if key.text in keyword:
                    raise self.error(key.start, f"{key.text}= is given twice")
                value, end = self.value()
                keyword[key.text] = value
                keyword_spans[key.text] = self.span(key.start, end)
            else:
                if keyword:
                    raise self.error(
                        key.start, "an argument without a name cannot follow one with a name"
                    )
                value, end = self.value()
                positional.append(value)
                positional_spans.append(self.span(key.start, end))
            if not self.accept(","):
                break
            if self.peek().text == ")" and self.peek().kind == "mark":
                raise self.error(self.peek().start, f"{command.text}: an argument is missing here")
        return positional, positional_spans, keyword, keyword_spans

    def after_word(self) -> Optional[_Token]:
        index = self.at + 1
        while index < len(self.tokens) and self.tokens[index].kind == "newline":
            index += 1
        return self.tokens[index] if index < len(self.tokens) else None

    def value(self) -> Tuple[Value, int]:
        token = self.take()
        if token.kind == "string":
            return token.text[1:-1], token.end
        if token.kind == "glob":
            return Glob(token.text[1:-1].strip()), token.end
        if token.kind == "word":
            value = _word_value(token.text)
            if isinstance(value, float) and math.isinf(value):
                raise self.error(token.start, f"{_describe(token)} is too large a number")
            return value, token.end
        if token.kind == "mark" and token.text == "[":
            return self.list_value()
        raise self.error(token.start, f"expected a value, found {_describe(token)}")

    def list_value(self) -> Tuple[Value, int]:
        items: List[Value] = []
        if self.accept("]"):
            return (), self.tokens[self.at - 1].end
        self.depth += 1
        if self.depth > _DEEPEST:
            raise self.error(self.peek().start, "too many lists inside lists")
        while True:
            items.append(self.value()[0])
            if not self.accept(","):
                break
        end = self.expect("]", "to close the list").end
        self.depth -= 1
        return tuple(items), end


def _word_value(word: str) -> Value:
    if word in _CONSTANTS:
        return _CONSTANTS[word]
    if _NUMBER.match(word):
        whole = not any(char in word for char in ".eE") and len(word) <= _LONGEST_NUMBER
        return int(word) if whole else float(word)
    return Name(word)


def _describe(token: _Token) -> str:
    if token.kind == "end":
        return "the end of the script"
    if token.kind == "newline":
        return "the end of the line"
    return token.text if len(token.text) <= 40 else token.text[:37] + "..."
