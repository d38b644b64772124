"""PyYAML with limits: a file of ten lines cannot hold more values than it could list.

PyYAML follows aliases and nesting without end. The size of what is built is known while it is
composed, so that a file that would grow is refused before anything does.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

from orchestrator.errors import shorten

#: Characters of one line.
LONGEST_LINE = 64 << 10

#: Values of a file, those of its aliases counted at each place that they stand.
MOST_VALUES = 50_000
DEEPEST = 50

#: Characters of a number, a date, a truth value: everything that is not text.
LONGEST_NUMBER = 100

#: Nothing of a recipe has a meaning with these: C0 but tab and line feed, DEL, C1, surrogates,
#: and the signs that turn the direction of what stands after them.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

#: JSON has no other way to escape a character past U+FFFF, and a recipe may be JSON.
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")


class LimitedLoader(yaml.SafeLoader):
    """PyYAML's safe loader with limits for depth, aliases, numbers and characters.

    Mistakes are ``yaml.MarkedYAMLError``s, whose marks have line and column.
    """

    def __init__(self, text: str) -> None:
        _check_lines(text)
        try:
            super().__init__(text)
        except yaml.reader.ReaderError as error:
            msg = f"a character that YAML does not allow: {_name(error.character)}"
            raise refused(problem=msg, mark=_mark(text, error.position)) from None
        self._depth = 0
        self._sizes: dict[int, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose one node, and count what it will be when all aliases are written out."""
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        self._depth += 1
        if self._depth > DEEPEST:
            raise refused(problem=f"nested deeper than {DEEPEST} levels", mark=event.start_mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if isinstance(node, yaml.ScalarNode):
            node.value = _PAIR.sub(_joined, str(node.value))
        if isinstance(event, yaml.AliasEvent):
            if id(node) not in self._sizes:
                raise refused(problem="a value that contains itself", mark=event.start_mark)
            return node
        size = 1
        if isinstance(node, yaml.SequenceNode):
            size += sum(self._sizes[id(one)] for one in node.value)
        elif isinstance(node, yaml.MappingNode):
            size += sum(self._sizes[id(one)] for pair in node.value for one in pair)
        if size > MOST_VALUES:
            msg = f"more than {MOST_VALUES} values, those of aliases (*name) counted each time"
            raise refused(problem=msg, mark=event.start_mark)
        self._sizes[id(node)] = size
        return node

    def merged(self, node: yaml.MappingNode) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
        """Return a mapping's pairs with those of ``<<`` put in, over which its own win."""
        own = {id(key) for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"}
        self.flatten_mapping(node)
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise refused(problem="a key must be plain text", mark=key.start_mark)
        winners = {key.value for key, _ in node.value if id(key) in own}
        below = [pair for pair in node.value if id(pair[0]) not in own]
        taken = {pair[0].value: pair for pair in below if pair[0].value not in winners}
        pairs = [*taken.values(), *(pair for pair in node.value if id(pair[0]) in own)]
        node.value = pairs
        return pairs

    def scalar(self, node: yaml.ScalarNode) -> Any:
        """Return the value of a scalar; one that is no plain text, number or date is refused."""
        text = str(node.value)
        if (unseen := _UNSEEN.search(text)) is not None:
            raise refused(
                problem=f"text with an invisible character: {_name(unseen[0])}",
                mark=node.start_mark,
            )
        if not node.tag.endswith(":str") and len(text) > LONGEST_NUMBER:
            raise refused(
                problem=f"a value of {len(text)} characters that is not text", mark=node.start_mark
            )
        try:
            value = self.construct_object(node, deep=True)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            kind = shorten(node.tag.rpartition(":")[2], 20)
            raise refused(
                problem=f"{shorten(text, 60)} is not of type {kind}", mark=node.start_mark
            ) from error
        if isinstance(value, float) and not math.isfinite(value):
            raise refused(
                problem=f"{shorten(text, 60)}: a number must be finite", mark=node.start_mark
            )
        return value


def refused(*, problem: str, mark: Any) -> yaml.MarkedYAMLError:
    """Return the error for something at a place."""
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


def _check_lines(text: str) -> None:
    start = 0
    for number, line in enumerate(text.split("\n")):
        if len(line) > LONGEST_LINE:
            mark = yaml.Mark("", start, number, LONGEST_LINE, None, 0)
            raise refused(problem=f"a line of {len(line)} characters", mark=mark)
        start += len(line) + 1


def _mark(text: str, position: int) -> yaml.Mark:
    line = text.count("\n", 0, position)
    column = position - (text.rfind("\n", 0, position) + 1)
    return yaml.Mark("", position, line, column, None, 0)


def _name(character: object) -> str:
    code = character if isinstance(character, int) else ord(str(character)[:1] or "\0")
    return f"U+{code:04X}"


def _joined(pair: re.Match[str]) -> str:
    return pair[0].encode("utf-16-le", "surrogatepass").decode("utf-16-le")
