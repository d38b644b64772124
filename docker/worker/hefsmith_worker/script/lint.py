"""Checks a model script: commands, arguments, layers, and what silently goes wrong on the chip."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Set

from hefsmith_worker.script import commands as table
from hefsmith_worker.script.commands import COMMANDS, Argument, CommandSpec
from hefsmith_worker.script.syntax import Command, Script, ScriptSyntaxError, Span, parse
from hefsmith_worker.script.values import Glob, Name, Value, names_in, render

#: Optimisation levels of the vendor; -100 turns everything off.
_LEVELS = (-100, 0, 1, 2, 3, 4)
_HIGHEST_COMPRESSION = 5
#: The SDK's own number of calibration images when a script says nothing.
DEFAULT_IMAGES = 64
#: Commands with a rule of their own, or whose later lines are meant to change earlier ones.
_REPEATABLE = (
    "normalization",
    "nms_postprocess",
    "pre_quantization_optimization",
    "quantization_param",
)
_ON_CHIP = ("ssd", "yolov5", "yolov6", "centernet", "yolo")


@dataclass(frozen=True)
class Finding:
    """Something wrong with a script, and where. ``severity`` is error, warning or info."""

    severity: str
    code: str
    line: int
    column: int
    message: str
    hint: str = ""

    def to_dict(self) -> Dict[str, object]:
        """Return the finding as JSON can hold it."""
        return {
            "severity": self.severity,
            "code": self.code,
            "line": self.line,
            "column": self.column,
            "message": self.message,
            "hint": self.hint or None,
        }


def check_text(
    text: str,
    filename: Optional[str] = None,
    *,
    layers: Optional[Sequence[str]] = None,
    images: Optional[int] = None,
) -> List[Finding]:
    """Check the text of a script; one that cannot be read gives one ``syntax`` finding."""
    try:
        script = parse(text, filename)
    except ScriptSyntaxError as error:
        return [Finding("error", "syntax", error.line, error.column, error.message)]
    return check(script, layers=layers, images=images)


def check(
    script: Script, *, layers: Optional[Sequence[str]] = None, images: Optional[int] = None
) -> List[Finding]:
    """Check a script; ``layers`` are the network's, ``images`` how many there are.

    Findings come in the order of the text.
    """
    found: List[Finding] = []
    for command in script:
        found += _command(command)
    found += _together(script, images)
    if layers is not None:
        found += _layers(script, layers)
    return sorted(found, key=lambda finding: (finding.line, finding.column))


# One command by itself.


def _command(command: Command) -> Iterator[Finding]:
    spec = COMMANDS.get(command.name)
    if spec is None:
        close = _close(command.name, COMMANDS)
        yield _at(
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
    special = _SPECIAL.get(command.name)
    if special is not None:
        yield from special(command)


def _target(command: Command, spec: CommandSpec) -> Iterator[Finding]:
    if spec.target == "needed" and not command.targets:
        yield _at(
            command.span,
            "error",
            "missing-name",
            f"{command.name} makes a layer and needs a name for it",
            f"write: {_free_name(command.name)} = {command.name}(...)",
        )
    if spec.target == "none" and command.targets:
        yield _at(
            command.span, "error", "needless-name", f"{command.name} makes no layer to be named"
        )


def _free_name(name: str) -> str:
    return "normalization1" if name == "normalization" else f"{name}1"


def _positional(command: Command, spec: CommandSpec) -> Iterator[Finding]:
    given = command.positional
    if len(given) < spec.required:
        missing = spec.positional[min(len(given), len(spec.positional) - 1)]
        yield _at(
            command.span,
            "error",
            "missing-argument",
            f"{command.name} needs {spec.required} arguments, {len(given)} given; "
            f"next would be {missing.kind}",
        )
    if len(given) > len(spec.positional) and not spec.repeats:
        yield _at(
            command.positional_spans[len(spec.positional)],
            "error",
            "too-many-arguments",
            f"{command.name} takes at most {len(spec.positional)} arguments without a name",
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
            close = _close(key, known)
            yield _at(
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
    if not _IS_KIND[argument.kind](value):
        yield _at(
            span,
            severity,
            "wrong-kind",
            f"{command.name}: {label}{render(value)} must be {argument.kind}",
        )
        return
    if argument.choices and isinstance(value, str) and value.lower() not in argument.choices:
        close = _close(value, argument.choices)
        yield _at(
            span,
            severity if close else "warning",
            "unknown-choice",
            f"{command.name} knows no {label}{value}",
            f"did you mean {close}?"
            if close
            else f"known are {', '.join(sorted(argument.choices))}",
        )


def _is_number(value: Value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_integer(value: Value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_word(value: Value) -> bool:
    return isinstance(value, Name)


def _is_layer(value: Value) -> bool:
    return isinstance(value, Name)


def _is_layers(value: Value) -> bool:
    if isinstance(value, tuple):
        return all(isinstance(item, (Name, Glob)) for item in value)
    return isinstance(value, (Name, Glob))


def _is_duration(value: Value) -> bool:
    return _is_number(value) or (
        isinstance(value, Name) and value[-1:] in "smhd" and value[:-1].isdigit()
    )


def _is_switch(value: Value) -> bool:
    return isinstance(value, bool) or value in ("enabled", "disabled", "allowed", "automatic")


def _all(value: Value, test: Callable[[Value], bool]) -> bool:
    return isinstance(value, tuple) and all(test(item) or _all(item, test) for item in value)


_IS_KIND: Mapping[str, Callable[[Value], bool]] = {
    table.INTEGER: _is_integer,
    table.NUMBER: lambda value: value is None or _is_number(value),
    table.BOOLEAN: lambda value: isinstance(value, bool),
    table.SWITCH: _is_switch,
    table.WORD: _is_word,
    table.TEXT: lambda value: isinstance(value, str) and not isinstance(value, Name),
    table.LAYER: _is_layer,
    table.LAYERS: _is_layers,
    table.NUMBERS: lambda value: _all(value, _is_number),
    table.WORDS: lambda value: _all(value, _is_word),
    table.DURATION: _is_duration,
    table.ANY: lambda _value: True,
}


# Commands with rules of their own.


def _normalization(command: Command) -> Iterator[Finding]:
    if len(command.positional) < 2:
        return
    mean, std = command.positional[:2]
    if not (isinstance(mean, tuple) and isinstance(std, tuple)):
        return
    if len(mean) != len(std):
        yield _at(
            command.positional_spans[1],
            "error",
            "normalization-length",
            f"{len(mean)} means, but {len(std)} deviations",
        )
    if any(value == 0 for value in std):
        yield _at(command.positional_spans[1], "error", "normalization-zero", "division by zero")
    elif _all(mean, _is_number) and _all(std, _is_number) and len(std):
        largest = max(abs(float(value)) for value in (*mean, *std))  # type: ignore[arg-type]
        if largest <= 1.0 and any(value != 1 for value in std):
            yield _at(
                command.positional_spans[0],
                "warning",
                "normalization-scale",
                "mean and std are in units of 0..255 here, these look like units of 0..1",
                "multiply both by 255",
            )


def _flavor(command: Command) -> Iterator[Finding]:
    level = command.keyword.get("optimization_level")
    if _is_integer(level) and level not in _LEVELS:
        yield _at(
            command.keyword_spans["optimization_level"],
            "error",
            "level",
            f"there is no optimization_level {level}",
            "levels are 0 to 4, and -100 for none",
        )
    compression = command.keyword.get("compression_level")
    if isinstance(compression, int) and not 0 <= compression <= _HIGHEST_COMPRESSION:
        yield _at(
            command.keyword_spans["compression_level"],
            "error",
            "level",
            f"there is no compression_level {compression}",
            "levels are 0 to 5 (0 to 100 % of the weights in 4 bit)",
        )


def _activation(command: Command) -> Iterator[Finding]:
    choices = COMMANDS["change_output_activation"].positional[1].choices
    if len(command.positional) == 1:
        (value,) = command.positional
        if not isinstance(value, Name) or value not in choices:
            yield _at(
                command.positional_spans[0],
                "error",
                "unknown-choice",
                f"{render(value)} is no activation",
                f"known are {', '.join(sorted(choices))}; a layer goes before it",
            )
    elif command.positional and not _is_layers(command.positional[0]):
        yield _at(
            command.positional_spans[0],
            "error",
            "wrong-kind",
            f"{render(command.positional[0])} must be {table.LAYERS}",
        )


def _conversion(command: Command) -> Iterator[Finding]:
    choices = COMMANDS["input_conversion"].positional[1].choices
    if len(command.positional) == 1 and str(command.positional[0]) not in choices:
        close = _close(str(command.positional[0]), choices)
        yield _at(
            command.positional_spans[0],
            "error",
            "unknown-choice",
            f"{command.positional[0]} is no conversion",
            f"did you mean {close}?" if close else f"known are {', '.join(sorted(choices))}",
        )


def _nms(command: Command) -> Iterator[Finding]:
    arch = command.keyword.get("meta_arch")
    if arch is None and len(command.positional) > 1:
        arch = command.positional[1]
    engine = command.keyword.get("engine")
    if engine == "nn_core" and isinstance(arch, Name) and arch not in _ON_CHIP:
        yield _at(
            command.keyword_spans["engine"],
            "error",
            "nms-engine",
            f"the chip's NMS core cannot run {arch}",
            "use engine=cpu",
        )
    if not command.positional and arch is None and "config_path" not in command.keyword:
        yield _at(
            command.span,
            "error",
            "missing-argument",
            "nms_postprocess needs a JSON file or meta_arch=",
        )


def _finetune(command: Command) -> Iterator[Finding]:
    lengths = {
        key: len(value)
        for key in ("loss_layer_names", "loss_types", "loss_factors")
        for value in [command.keyword.get(key)]
        if isinstance(value, tuple)
    }
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{key} has {count}" for key, count in lengths.items())
        yield _at(command.span, "error", "loss-lengths", f"lists of one length are needed: {said}")


_SPECIAL: Mapping[str, Callable[[Command], Iterator[Finding]]] = {
    "normalization": _normalization,
    "model_optimization_flavor": _flavor,
    "change_output_activation": _activation,
    "input_conversion": _conversion,
    "nms_postprocess": _nms,
    "post_quantization_optimization": _finetune,
}


# Commands that contradict or repeat each other.


def _together(script: Script, images: Optional[int]) -> Iterator[Finding]:
    yield from _repeated_normalisation(script)
    yield from _repeated_nms(script)
    yield from _repeated_settings(script)
    yield from _repeated_names(script)
    yield from _calibration(script, images)


def _repeated_normalisation(script: Script) -> Iterator[Finding]:
    seen: Dict[str, Command] = {}
    for command in script.named("normalization"):
        names = names_in(command.positional[2]) if len(command.positional) > 2 else []
        layer = Name(names[0]).layer if names else ""
        first = seen.get(layer) or seen.get("")
        if first is None and not layer and seen:
            first = next(iter(seen.values()))
        if first is not None:
            yield _at(
                command.span,
                "error",
                "normalized-twice",
                f"the input is normalised twice: line {first.line} does it already",
                "keep one of them",
            )
        seen.setdefault(layer, command)


def _repeated_nms(script: Script) -> Iterator[Finding]:
    commands = script.named("nms_postprocess")
    for command in commands[1:]:
        yield _at(command.span, "error", "nms-twice", f"line {commands[0].line} has an NMS already")


def _repeated_settings(script: Script) -> Iterator[Finding]:
    from hefsmith_worker.script.merge import slots

    seen: Dict[object, Command] = {}
    for command in script:
        if command.name in _REPEATABLE:
            continue
        for slot in slots(command):
            first = seen.setdefault(slot, command)
            if first is command or first == command:
                continue
            key = slot[-1]
            if key in command.keyword and first.keyword.get(key) == command.keyword[key]:
                continue
            yield _at(
                command.span,
                "warning",
                "set-twice",
                f"line {first.line} sets {'/'.join(part for part in slot if part)} already",
                "keep one of them",
            )
            break


def _repeated_names(script: Script) -> Iterator[Finding]:
    seen: Dict[str, Command] = {}
    for command in script:
        for name in command.targets:
            if name in ("{}", "placeholder"):
                continue
            first = seen.setdefault(name, command)
            if first is not command and COMMANDS.get(command.name, CommandSpec()).loose is False:
                yield _at(
                    command.span, "error", "name-twice", f"line {first.line} made {name} already"
                )


def _calibration(script: Script, images: Optional[int]) -> Iterator[Finding]:
    if images is None:
        return
    sizes = [
        (command, command.keyword["calibset_size"])
        for command in script.named("model_optimization_config")
        if "calibset_size" in command.keyword
    ]
    for command, size in sizes:
        if isinstance(size, int) and size > images:
            yield _at(
                command.keyword_spans["calibset_size"],
                "error",
                "too-few-images",
                f"asks for {size} calibration images, there are {images}",
            )
        elif isinstance(size, int) and size < images:
            yield _at(
                command.keyword_spans["calibset_size"],
                "warning",
                "images-unused",
                f"{images - size} of {images} calibration images are not used",
            )
    if not sizes and images > DEFAULT_IMAGES:
        yield Finding(
            "warning",
            "images-unused",
            1,
            1,
            f"no calibset_size: the SDK takes {DEFAULT_IMAGES} of {images} images",
            f"add model_optimization_config(calibration, calibset_size={images})",
        )


# Layers of the network.


def _layers(script: Script, layers: Sequence[str]) -> Iterator[Finding]:
    known: Set[str] = {name.rsplit("/", 1)[-1] for name in layers}
    known.update(name for name in layers)
    scopes = {name.split("/", 1)[0] for name in layers if "/" in name}
    placed = False
    for command in script:
        spec = COMMANDS.get(command.name)
        if spec is None:
            continue
        if not (spec.loose and command.name not in ("allocator_param", "resources_param")):
            for name, span in _layer_words(command, spec):
                yield from _known_layer(name, span, known, scopes)
            for pattern, span in _patterns(command):
                if not any(pattern.matches(name) for name in known):
                    yield _at(
                        span,
                        "warning",
                        "empty-pattern",
                        f"{render(pattern)} matches no layer of the network",
                    )
        else:
            placed = True
        known.update(name.rsplit("/", 1)[-1] for name in command.targets)
    if placed:
        # Layers of placement lines only exist while the compiler works.
        return


def _known_layer(name: Name, span: Span, known: Set[str], scopes: Set[str]) -> Iterator[Finding]:
    if name in known or name.layer in known:
        scope = name.rsplit("/", 1)[0] if "/" in name else ""
        if not scope or scope in scopes or not scopes:
            return
        yield _at(
            span,
            "error",
            "unknown-scope",
            f"{name}: the network is called {' or '.join(sorted(scopes))}, not {scope}",
            f"write {name.layer}",
        )
        return
    close = _close(name.layer, {entry for entry in known if "/" not in entry})
    yield _at(
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


def _close(word: str, known: object) -> str:
    options = [str(option) for option in known]  # type: ignore[attr-defined]
    found = difflib.get_close_matches(word.lower(), options, 1, 0.72)
    return found[0] if found else ""


def _at(span: Span, severity: str, code: str, message: str, hint: str = "") -> Finding:
    return Finding(severity, code, span.line, span.column, message, hint)
