"""Checks a model script: commands, arguments, layers, and what silently goes wrong on the chip."""

from __future__ import annotations

from typing import Iterator, List, Mapping, Optional, Sequence

from hefsmith_worker.contract.commands import COMMANDS, Argument, CommandSpec
from hefsmith_worker.contract.counting import counted
from hefsmith_worker.contract.findings import ERROR, Finding
from hefsmith_worker.script.finding import at, close_to
from hefsmith_worker.script.kinds import IS_KIND
from hefsmith_worker.script.layer_names import check_layers
from hefsmith_worker.script.rules import RULES
from hefsmith_worker.script.syntax import Command, Script, ScriptSyntaxError, Span, parse
from hefsmith_worker.script.together import check_together
from hefsmith_worker.script.values import Value, render


def check_text(
    text: str,
    filename: Optional[str] = None,
    *,
    layers: Optional[Sequence[str]] = None,
    images: Optional[int] = None,
    line: Optional[int] = None,
) -> List[Finding]:
    """Check the text of a script; one that cannot be read gives one ``syntax`` finding."""
    try:
        script = parse(text, filename)
    except ScriptSyntaxError as error:
        return [Finding("syntax", ERROR, error.message, line=error.line, column=error.column)]
    return check(script, layers=layers, images=images, line=line)


def check(
    script: Script,
    *,
    layers: Optional[Sequence[str]] = None,
    images: Optional[int] = None,
    line: Optional[int] = None,
) -> List[Finding]:
    """Check a script; ``layers`` are the network's, ``images`` how many there are.

    ``line`` is the compiler's (3 or 5), ``None`` when it is not known. Findings come in the
    order of the text.
    """
    found: List[Finding] = []
    for command in script:
        found += check_command(command)
        found += _age(command, line)
    found += check_together(script, images)
    if layers is not None:
        found += check_layers(script, layers)
    return sorted(found, key=lambda finding: (finding.line, finding.column))


# One command by itself.


def check_command(command: Command) -> Iterator[Finding]:
    """Check one command against the table: its name, its arguments, what they mean together."""
    spec = COMMANDS.get(command.name)
    if spec is None:
        close = close_to(command.name, COMMANDS)
        yield at(
            command.name_span,
            "error" if close else "warning",
            "unknown-command",
            f"no command is called {command.name}",
            f"did you mean {close}?" if close else "a newer compiler may know it",
        )
        return
    yield from _target(command, spec)
    yield from _positional(command, spec)
    yield from _keywords(command, spec)
    special = RULES.get(command.name)
    if special is not None:
        yield from special(command)


def _age(command: Command, line: Optional[int]) -> Iterator[Finding]:
    """Warn of a command that the public scripts of this compiler do not have."""
    spec = COMMANDS.get(command.name)
    if spec is None or spec.seen is None:
        return
    first, last = spec.seen
    if spec.retired:
        yield at(
            command.name_span,
            "warning",
            "retired-command",
            f"no public script since Model Zoo {last} has {command.name}",
            "a compiler of today may not know it any more",
        )
    elif line is not None and line not in spec.lines:
        yield at(
            command.name_span,
            "warning",
            "other-line",
            f"public scripts have {command.name} for compilers {spec.lines[0]}.x only, "
            f"from Model Zoo {first} on",
            f"try without it on a compiler {line}.x",
        )


def _target(command: Command, spec: CommandSpec) -> Iterator[Finding]:
    if spec.target == "needed" and not command.targets:
        yield at(
            command.span,
            "error",
            "missing-name",
            f"{command.name} makes a layer and needs a name for it",
            f"write: {_free_name(command.name)} = {command.name}(...)",
        )
    if spec.target == "none" and command.targets:
        yield at(
            command.span, "error", "needless-name", f"{command.name} makes no layer to be named"
        )


def _free_name(name: str) -> str:
    return "normalization1" if name == "normalization" else f"{name}1"


def _positional(command: Command, spec: CommandSpec) -> Iterator[Finding]:
    given = command.positional
    if len(given) < spec.required:
        missing = spec.positional[min(len(given), len(spec.positional) - 1)]
        yield at(
            command.span,
            "error",
            "missing-argument",
            f"{command.name} needs {counted(spec.required, 'argument')}, {len(given)} given; "
            f"next would be {missing.kind}",
        )
    if len(given) > len(spec.positional) and not spec.repeats:
        yield at(
            command.positional_spans[len(spec.positional)],
            "error",
            "too-many-arguments",
            f"{command.name} takes at most {counted(len(spec.positional), 'argument')} "
            f"without a name",
        )
    for place, (value, span) in enumerate(zip(given, command.positional_spans)):
        if place >= len(spec.positional):
            break
        yield from _value(command, value, spec.positional[place], span, "", spec.loose)


def _keywords(command: Command, spec: CommandSpec) -> Iterator[Finding]:
    known: Mapping[str, Argument] = spec.keyword
    where = command.name
    if spec.groups is not None and command.positional:
        group = str(command.positional[0])
        if group not in spec.groups:
            return
        known = spec.groups[group]
        where = f"{command.name}({group}, ...)"
    for key, value in command.keyword.items():
        span = command.keyword_spans[key]
        if key not in known:
            close = close_to(key, known)
            yield at(
                span,
                "warning" if spec.loose and not close else "error",
                "unknown-argument",
                f"{where} has no argument {key}",
                f"did you mean {close}?" if close else f"it has {', '.join(sorted(known))}",
            )
            continue
        yield from _value(command, value, known[key], span, f"{key}=", spec.loose)


def _value(
    command: Command, value: Value, argument: Argument, span: Span, label: str, loose: bool
) -> Iterator[Finding]:
    severity = "warning" if loose else "error"
    if not IS_KIND[argument.kind](value):
        yield at(
            span,
            severity,
            "wrong-kind",
            f"{command.name}: {label}{render(value)} must be {argument.kind}",
        )
        return
    if argument.choices and isinstance(value, str) and value.lower() not in argument.choices:
        close = close_to(value, argument.choices)
        yield at(
            span,
            severity if close else "warning",
            "unknown-choice",
            f"{command.name} knows no {label}{value}",
            f"did you mean {close}?"
            if close
            else f"known are {', '.join(sorted(argument.choices))}",
        )
