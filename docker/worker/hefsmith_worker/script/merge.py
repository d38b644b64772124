"""The user's own lines beside ours: theirs win, and a contradiction is shown with both lines.

Each command sets one thing or several (a *slot* each). A slot of ours that the user sets too
is dropped from our command. Where the recipe states the value elsewhere and the user's line
says another one, nobody can tell which is meant: that is an error.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Dict, FrozenSet, List, Mapping, Optional, Sequence, Tuple

from hefsmith_worker.protocol import StageError
from hefsmith_worker.script.syntax import Command, Script, ScriptSyntaxError, parse
from hefsmith_worker.script.values import Name, Value

Slot = Tuple[str, ...]

#: Commands whose keywords are settings of their own: one line may set some, another the rest.
_BY_KEYWORD = ("model_optimization_flavor", "model_optimization_config")


@dataclass(frozen=True)
class Line:
    """One command of ours and why it is there; ``stated`` are the recipe's keys behind it."""

    command: Command
    why: str
    stated: Mapping[str, str]


class ScriptConflict(StageError):
    """Two lines set the same thing to different values."""


def read_user_lines(lines: Sequence[str]) -> Script:
    """Parse the user's lines; the error names the line within ``optimization.script``."""
    try:
        return parse("\n".join(lines), "optimization.script")
    except ScriptSyntaxError as error:
        pointer = " " * (error.column - 1) + "^"
        msg = f"{error}\n  {error.source}\n  {pointer}"
        raise StageError(
            msg,
            code="script.syntax",
            fix="Correct the line in the recipe; hef lint checks a script file.",
        ) from None


def merge(ours: Sequence[Line], user: Script) -> Tuple[List[Line], List[str]]:
    """Return our lines without what the user sets, and a note for each thing left out."""
    taken: Dict[Slot, Command] = {}
    for command in user:
        for slot in slots(command):
            taken[slot] = command
    kept: List[Line] = []
    notes: List[str] = []
    for line in ours:
        mine = slots(line.command)
        clashing = [slot for slot in mine if slot in taken]
        for slot in clashing:
            _compare(line, slot, taken[slot])
            notes.append(
                f"line {taken[slot].line} of optimization.script replaces {line.command.render()}"
            )
        rest = _without(line, frozenset(clashing))
        if rest is not None:
            kept.append(rest)
    return kept, list(dict.fromkeys(notes))


def slots(command: Command) -> List[Slot]:
    """List the things that a command sets."""
    first = command.positional[0] if command.positional else None
    name = command.name
    if name == "normalization":
        layer = command.positional[2] if len(command.positional) > 2 else None
        return [(name, _layer(layer))]
    if name == "nms_postprocess":
        return [(name,)]
    if name in _BY_KEYWORD:
        group = str(first) if isinstance(first, Name) else ""
        return [(name, group, key) for key in command.keyword if key != "layers"]
    if name in ("post_quantization_optimization", "pre_quantization_optimization"):
        return [(name, str(first), str(command.keyword.get("layers", "")))]
    if name == "change_output_activation":
        return [(name, _layer(first) if len(command.positional) > 1 else "*")]
    if name == "quantization_param":
        layers = first if isinstance(first, tuple) else (first,)
        return [(name, _layer(layer), key) for layer in layers for key in command.keyword]
    if name == "logits_layer":
        return [(name, _layer(first))]
    return []


def _layer(value: Optional[Value]) -> str:
    return value.layer if isinstance(value, Name) else "" if value is None else str(value)


def _compare(line: Line, slot: Slot, theirs: Command) -> None:
    key = slot[-1] if slot[0] in _BY_KEYWORD or slot[0] == "quantization_param" else ""
    source = line.stated.get(key)
    if source is None:
        return
    if key:
        same = line.command.keyword.get(key) == theirs.keyword.get(key)
    else:
        same = (
            line.command.positional[:2] == theirs.positional[:2]
            and line.command.keyword == theirs.keyword
        )
    if not same:
        msg = (
            f"{source} and optimization.script contradict each other:\n"
            f"  {source}: {line.command.render()}\n"
            f"  optimization.script:{theirs.line}: {theirs.render()}"
        )
        raise ScriptConflict(
            msg,
            code="script.conflict",
            fix=f"Remove the line from optimization.script, or change {source}",
        )


def _without(line: Line, clashing: FrozenSet[Slot]) -> Optional[Line]:
    command = line.command
    if not clashing:
        return line
    if command.name not in _BY_KEYWORD:
        if len(clashing) < len(slots(command)) and command.name == "quantization_param":
            layers = command.positional[0]
            rest = tuple(
                layer
                for layer in (layers if isinstance(layers, tuple) else (layers,))
                if not any(slot[1] == _layer(layer) for slot in clashing)
            )
            return replace(line, command=replace(command, positional=(rest,)))
        return None
    taken = {slot[-1] for slot in clashing}
    keyword = {key: value for key, value in command.keyword.items() if key not in taken}
    return replace(line, command=replace(command, keyword=keyword)) if keyword else None
