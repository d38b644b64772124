"""Read a model script into :class:`Options`, with the vendor's errors for what is wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hailo_sdk_client.sdk_backend.sdk_backend_exceptions import BackendScriptParserException
from hefsmith_worker.script import Glob, Name, ScriptSyntaxError, parse

from hailo_emulator.commands import KNOWN, PLACEMENT
from hailo_emulator.conversions import KINDS, Conversion
from hailo_emulator.options import (
    ActivationChange,
    Algorithm,
    InputStep,
    LayerPrecision,
    LogitsRequest,
    NmsRequest,
    Options,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hefsmith_worker.script import Command, Script

_PRECISIONS = {
    "a8_w8": (8, 8), "a8_w4": (8, 4), "a16_w16": (16, 16), "a16_w8": (16, 8),
    "a8_w8_a8": (8, 8), "a8_w4_a8": (8, 4), "a16_w16_a16": (16, 16), "a8_w8_a16": (16, 8),
}  # fmt: skip


def read_script(text: str, *, folder: Path | None = None, filename: str | None = None) -> Options:
    """Read ``text``. Relative JSON paths start at ``folder`` (the script's own).

    Raises ``BackendScriptParserException`` with the vendor's text, ``Parsing failed at:`` and
    the line with ``>!<`` at the spot.
    """
    return apply_script(Options(), text, folder=folder, filename=filename)


def apply_script(
    options: Options, text: str, *, folder: Path | None = None, filename: str | None = None
) -> Options:
    """As :func:`read_script`, but on top of what earlier scripts asked."""
    try:
        script = parse(text, filename)
    except ScriptSyntaxError as error:
        raise _failed(text, error.offset, error.message) from error
    reader = _Reader(script, text, folder or Path())
    for command in script:
        options = reader.apply(options, command)
    return options


def _failed(text: str, offset: int, why: str) -> BackendScriptParserException:
    start = text.rfind("\n", 0, offset) + 1
    end = text.find("\n", offset)
    line = text[start : end if end >= 0 else len(text)]
    marked = line[: offset - start] + ">!<" + line[offset - start :]
    error = BackendScriptParserException(f"Parsing failed at:\n{marked.strip()}")
    error.add_note(f"line {text.count(chr(10), 0, offset) + 1}: {why}")
    return error


class _Reader:
    def __init__(self, script: Script, text: str, folder: Path) -> None:
        self.script, self.text, self.folder = script, text, folder
        self.starts = [0]
        for line in text.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))

    def fail(self, command: Command, why: str, *, at: Any = None) -> BackendScriptParserException:
        span = at or command.span
        return _failed(self.text, self.starts[span.line - 1] + span.column - 1, why)

    def apply(self, options: Options, command: Command) -> Options:
        if command.owner is not None or command.name in PLACEMENT:
            return replace(
                options, without_effect=(*options.without_effect, command.source.strip())
            )
        shape = KNOWN.get(command.name)
        if shape is None:
            raise self.fail(command, f"{command.name} is no command", at=command.name_span)
        if shape.needs_target and len(command.targets) == 0:
            raise self.fail(command, f"{command.name} needs a name on its left side")
        count = len(command.positional)
        if count < shape.least or (shape.most is not None and count > shape.most):
            raise self.fail(command, f"{command.name} does not take {count} arguments")
        for key in command.keyword:
            if shape.keywords is not None and key not in shape.keywords:
                raise self.fail(
                    command, f"{command.name} has no {key}=", at=command.keyword_spans[key]
                )
        handler: Callable[[Options, Command], Options] = getattr(self, f"_{command.name}")
        return handler(options, command)

    # -- one method per command ------------------------------------------------------------

    def _normalization(self, options: Options, command: Command) -> Options:
        mean = self._numbers(command, 0)
        std = self._numbers(command, 1)
        if len(mean) != len(std) or any(s == 0 for s in std):
            raise self.fail(command, "mean and std need the same length, std no zero")
        after = self._layer(command, 2) if len(command.positional) > 2 else None
        steps = tuple(
            InputStep(after, Conversion(target, "normalization", mean, std))
            for target in command.targets
        )
        return replace(options, input_steps=(*options.input_steps, *steps))

    def _input_conversion(self, options: Options, command: Command) -> Options:
        kind = str(command.positional[1])
        if kind not in KINDS:
            raise self.fail(command, f"{kind} is no conversion", at=command.positional_spans[1])
        step = InputStep(self._layer(command, 0), Conversion(command.targets[-1], kind))
        return replace(options, input_steps=(*options.input_steps, step))

    def _resize(self, options: Options, command: Command) -> Options:
        size = command.keyword.get("resize_shapes")
        if not isinstance(size, tuple) or len(size) != 2:
            raise self.fail(command, "resize needs resize_shapes=[height,width]")
        height, width = (int(self._number(command, value)) for value in size)
        step = Conversion(command.targets[0], "resize", size=(height, width))
        steps = (*options.input_steps, InputStep(self._layer(command, 0), step))
        return replace(options, input_steps=steps)

    def _change_output_activation(self, options: Options, command: Command) -> Options:
        layer = self._layer(command, 0) if len(command.positional) == 2 else None
        change = ActivationChange(layer, str(command.positional[-1]))
        return replace(options, activations=(*options.activations, change))

    def _nms_postprocess(self, options: Options, command: Command) -> Options:
        config: Path | None = None
        arch: str | None = None
        for value in command.positional:
            if isinstance(value, Name):
                arch = str(value)
            elif isinstance(value, str):
                config = Path(value) if Path(value).is_absolute() else self.folder / value
            else:
                raise self.fail(command, "nms_postprocess takes a path and a meta architecture")
        plain: dict[str, Any] = dict(command.keyword)
        arch = str(plain.pop("meta_arch")) if "meta_arch" in plain else arch
        engine = str(plain.pop("engine")) if "engine" in plain else None
        only = bool(plain.pop("bbox_decoding_only", False))
        return replace(options, nms=NmsRequest(config, arch, engine, only, plain))

    def _logits_layer(self, options: Options, command: Command) -> Options:
        kind = str(command.positional[1])
        if kind not in ("softmax", "argmax"):
            raise self.fail(command, f"{kind} is no logits layer", at=command.positional_spans[1])
        axis = (
            int(self._number(command, command.positional[2])) if len(command.positional) > 2 else 1
        )
        request = LogitsRequest(command.targets[0], self._layer(command, 0), kind, axis)
        return replace(options, logits=(*options.logits, request))

    def _model_optimization_config(self, options: Options, command: Command) -> Options:
        if str(command.positional[0]) != "calibration":
            return replace(
                options, without_effect=(*options.without_effect, command.source.strip())
            )
        for key in command.keyword:
            if key not in ("batch_size", "calibset_size"):
                raise self.fail(command, f"no {key}= here", at=command.keyword_spans[key])
        return replace(
            options,
            calibration_size=self._positive(command, "calibset_size", options.calibration_size),
            batch_size=self._positive(command, "batch_size", options.batch_size) or 1,
        )

    def _model_optimization_flavor(self, options: Options, command: Command) -> Options:
        level = command.keyword.get("optimization_level", options.optimization_level)
        compression = command.keyword.get("compression_level", options.compression_level)
        if level is not None and level not in (-100, 0, 1, 2, 3, 4):
            raise self.fail(command, "optimization_level is -100 or 0 to 4")
        if compression is not None and compression not in (0, 1, 2, 3, 4, 5):
            raise self.fail(command, "compression_level is 0 to 5")
        return replace(
            options,
            optimization_level=level,  # type: ignore[arg-type]
            compression_level=compression,  # type: ignore[arg-type]
        )

    def _quantization_param(self, options: Options, command: Command) -> Options:
        mode = command.keyword.get("precision_mode")
        bits: tuple[int | None, int | None] = (None, None)
        if mode is not None:
            if str(mode) not in _PRECISIONS:
                raise self.fail(
                    command, f"{mode} is no precision", at=command.keyword_spans["precision_mode"]
                )
            bits = _PRECISIONS[str(mode)]
        precision = LayerPrecision(
            self._layers(command),
            bits[0],
            bits[1],
            self._range(command, "force_range_in"),
            self._range(command, "force_range_out"),
        )
        return replace(options, precisions=(*options.precisions, precision))

    def _pre_quantization_optimization(self, options: Options, command: Command) -> Options:
        return replace(options, before=(*options.before, self._algorithm(command)))

    def _post_quantization_optimization(self, options: Options, command: Command) -> Options:
        return replace(options, after=(*options.after, self._algorithm(command)))

    # -- arguments -------------------------------------------------------------------------

    def _algorithm(self, command: Command) -> Algorithm:
        policy = command.keyword.get("policy")
        return Algorithm(
            str(command.positional[0]),
            None if policy is None else str(policy),
            dict(command.keyword),
        )

    def _layer(self, command: Command, index: int) -> str:
        value = command.positional[index]
        if not isinstance(value, Name):
            raise self.fail(command, "a layer is needed", at=command.positional_spans[index])
        return str(value)

    def _layers(self, command: Command) -> tuple[str, ...]:
        value = command.positional[0]
        values: Sequence[Any] = value if isinstance(value, tuple) else (value,)
        names: list[str] = []
        for item in values:
            if isinstance(item, Glob):
                names.append("{" + item.pattern + "}")
            elif isinstance(item, str):
                names.append(str(item))
            else:
                raise self.fail(command, "layers are needed", at=command.positional_spans[0])
        return tuple(names)

    def _numbers(self, command: Command, index: int) -> tuple[float, ...]:
        value = command.positional[index]
        values = value if isinstance(value, tuple) else (value,)
        return tuple(self._number(command, item) for item in values)

    def _number(self, command: Command, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.fail(command, "a number is needed")
        return float(value)

    def _positive(self, command: Command, key: str, default: int | None) -> int | None:
        value: Any = command.keyword.get(key, default)
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, int) or value < 1
        ):
            raise self.fail(command, f"{key} is a whole number", at=command.keyword_spans[key])
        return value if value is None else int(value)

    def _range(self, command: Command, key: str) -> tuple[float, float] | None:
        value: Any = command.keyword.get(key)
        if value is None:
            return None
        if not isinstance(value, tuple) or len(value) != 2:
            raise self.fail(command, f"{key} is [low, high]", at=command.keyword_spans[key])
        low, high = (self._number(command, item) for item in value)
        return low, high


def matching_layers(patterns: Sequence[str], names: Sequence[str]) -> Mapping[str, list[str]]:
    """Return, per pattern of a command, which of ``names`` (with scope) it means."""
    found: dict[str, list[str]] = {}
    for pattern in patterns:
        if pattern.startswith("{"):
            glob = Glob(pattern[1:-1])
            found[pattern] = [name for name in names if glob.matches(name)]
        else:
            found[pattern] = [n for n in names if n == pattern or n.split("/", 1)[1] == pattern]
    return found
