"""Whether a script speaks of layers that the network has."""

from __future__ import annotations

from typing import Iterator, Sequence, Set

from hefsmith_worker.contract import commands as table
from hefsmith_worker.contract.commands import COMMANDS, CommandSpec
from hefsmith_worker.contract.findings import Finding
from hefsmith_worker.script.finding import at, close_to
from hefsmith_worker.script.syntax import Command, Script, Span
from hefsmith_worker.script.values import Glob, Name, names_in, render

#: Commands that take what no script of the zoo shows, and whose layers are the network's.
_OF_THE_NETWORK = ("allocator_param", "resources_param", "pre_quantization_optimization")


def names_layers(script: Script) -> bool:
    """Tell whether a script names layers of the network, other than those that it makes."""
    made = {name.rsplit("/", 1)[-1] for command in script for name in command.targets}
    return any(
        name.layer not in made
        for command in script
        for spec in (COMMANDS.get(command.name),)
        if spec is not None and not _is_placement(command, spec)
        for name, _ in _layer_words(command, spec)
    )


def _is_placement(command: Command, spec: CommandSpec) -> bool:
    """Tell whether a command names layers that exist only while the compiler works."""
    return spec.loose and command.name not in _OF_THE_NETWORK


def check_layers(script: Script, layers: Sequence[str]) -> Iterator[Finding]:
    """Check the layers that a script names; ``layers`` are the network's, with scope or not."""
    known: Set[str] = {*layers, *(name.rsplit("/", 1)[-1] for name in layers)}
    scopes = {name.split("/", 1)[0] for name in layers if "/" in name}
    for command in script:
        spec = COMMANDS.get(command.name)
        if spec is None:
            continue
        if not _is_placement(command, spec):
            yield from _known_words(command, spec, known, scopes)
        known.update(name.rsplit("/", 1)[-1] for name in command.targets)


def _known_words(
    command: Command, spec: CommandSpec, known: Set[str], scopes: Set[str]
) -> Iterator[Finding]:
    for name, span in _layer_words(command, spec):
        if not (spec.loose and _is_part(name, known)):
            yield from _known_layer(name, span, known, scopes)
    for pattern, span in _patterns(command):
        if not any(pattern.matches(name) for name in known):
            message = f"{render(pattern)} matches no layer of the network"
            yield at(span, "warning", "empty-pattern", message)


def _is_part(name: Name, known: Set[str]) -> bool:
    """Tell whether a layer may be a part into which an earlier line divides one (conv3_d0)."""
    parts = name.layer.split("_")
    return any("_".join(parts[:count]) in known for count in range(1, len(parts)))


def _known_layer(name: Name, span: Span, known: Set[str], scopes: Set[str]) -> Iterator[Finding]:
    if name in known or name.layer in known:
        scope = name.rsplit("/", 1)[0] if "/" in name else ""
        if not scope or scope in scopes or not scopes:
            return
        yield at(
            span,
            "error",
            "unknown-scope",
            f"{name}: the network is called {' or '.join(sorted(scopes))}, not {scope}",
            f"write {name.layer}",
        )
        return
    close = close_to(name.layer, {entry for entry in known if "/" not in entry})
    yield at(
        span,
        "error",
        "unknown-layer",
        f"the network has no layer {name}",
        f"did you mean {close}?" if close else "",
    )


def _layer_words(command: Command, spec: CommandSpec) -> Iterator["tuple[Name, Span]"]:
    for place, value in enumerate(command.positional):
        if place >= len(spec.positional):
            break
        argument = spec.positional[place]
        wanted = argument.kind in (table.LAYER, table.LAYERS)
        if command.name == "change_output_activation":
            wanted = place == 0 and len(command.positional) > 1
        if command.name == "input_conversion" and len(command.positional) == 1:
            wanted = False
        if wanted:
            for name in names_in(value):
                yield Name(name), command.positional_spans[place]
    keyword = spec.keyword
    if spec.groups is not None and command.positional:
        keyword = spec.groups.get(str(command.positional[0]), {})
    for key, value in command.keyword.items():
        if key in keyword and keyword[key].kind in (table.LAYER, table.LAYERS):
            for name in names_in(value):
                yield Name(name), command.keyword_spans[key]


def _patterns(command: Command) -> Iterator["tuple[Glob, Span]"]:
    spans = [*command.positional_spans, *command.keyword_spans.values()]
    values = [*command.positional, *command.keyword.values()]
    for value, span in zip(values, spans):
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, Glob) and item.pattern:
                yield item, span
