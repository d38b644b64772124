"""Read a model script into :class:`ScriptOptions`, with the vendor's errors for what is wrong."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hailo_sdk_client.sdk_backend.sdk_backend_exceptions import BackendScriptParserException
from hefsmith_worker.contract.commands import COMMANDS, NETWORK
from hefsmith_worker.script import Glob, Name, ScriptSyntaxError, parse
from hefsmith_worker.script.lint import check_command

from hailo_emulator.conversions import HYBRIDS, KINDS, Conversion
from hailo_emulator.options import (
    ActivationChange,
    Algorithm,
    InputStep,
    LayerPrecision,
    LogitsRequest,
    NmsRequest,
    ScriptOptions,
)
from hailo_emulator.quirks import quirk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hefsmith_worker.script import Command, Script

#: ``a16_w8_a8``: bits of the activations, of the weights, and of what goes out.
_PRECISION = re.compile(r"a(\d+)_w(\d+)(?:_a(\d+))?\Z")

#: What the vendor's compiler says of an NMS only when it builds it, with classes of its own.
_NOTICED_LATER = ("nms-engine", "unknown-choice", "missing-argument")


def read_script(
    text: str, *, folder: Path | None = None, filename: str | None = None
) -> ScriptOptions:
    """Read ``text``. Relative JSON paths start at ``folder`` (the script's own).

    Raises ``BackendScriptParserException`` with the vendor's text, ``Parsing failed at:`` and
    the line with ``>!<`` at the spot.
    """
    return apply_script(ScriptOptions(), text, folder=folder, filename=filename)


def apply_script(
    options: ScriptOptions, text: str, *, folder: Path | None = None, filename: str | None = None
) -> ScriptOptions:
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

    def apply(self, options: ScriptOptions, command: Command) -> ScriptOptions:
        for finding in check_command(command):
            if command.name == "nms_postprocess" and finding.code in _NOTICED_LATER:
                continue
            # What the linter only doubts (a command of a newer version), a parser refuses.
            if finding.severity == "error" or finding.code == "unknown-command":
                raise self.fail(command, finding.message, at=finding)
        handler: Callable[[ScriptOptions, Command], ScriptOptions] | None = getattr(
            self, f"_{command.name}", None
        )
        if handler is not None and command.owner is None:
            return handler(options, command)
        if COMMANDS[command.name].effect == NETWORK:
            msg = f"{command.name} is not emulated"
            raise NotImplementedError(msg)
        return replace(options, without_effect=(*options.without_effect, command.source.strip()))

    # -- one method per command ------------------------------------------------------------

    def _normalization(self, options: ScriptOptions, command: Command) -> ScriptOptions:
        mean = self._numbers(command, 0)
        std = self._numbers(command, 1)
        after = self._layer(command, 2) if len(command.positional) > 2 else None
        conversion = Conversion("", "normalization", mean, std)
        return self._with_steps(options, command, after, conversion)

    def _input_conversion(self, options: ScriptOptions, command: Command) -> ScriptOptions:
        *layer, kind = command.positional
        if kind not in KINDS:
            raise self.fail(command, f"{kind} is not a conversion", at=command.positional_spans[-1])
        after = self._layer(command, 0) if layer else None
        return self._with_steps(options, command, after, Conversion("", str(kind)))

    def _resize(self, options: ScriptOptions, command: Command) -> ScriptOptions:
        size = command.keyword.get("resize_shapes")
        if not isinstance(size, tuple) or len(size) != 2:
            raise self.fail(command, "resize needs resize_shapes=[height,width]")
        height, width = (int(self._number(command, value)) for value in size)
        after = self._layer(command, 0) if command.positional else None
        return self._with_steps(
            options, command, after, Conversion("", "resize", size=(height, width))
        )

    def _with_steps(
        self, options: ScriptOptions, command: Command, after: str | None, conversion: Conversion
    ) -> ScriptOptions:
        """Add a step after a named layer, or one per input: a name each on the left side."""
        # A conversion of two parts (nv12 to yuv to rgb) may name both; it is done at once here.
        parts = 2 if conversion.kind in HYBRIDS and len(command.targets) % 2 == 0 else 1
        names = command.targets[parts - 1 :: parts] if after is None else command.targets[-1:]
        steps = tuple(
            InputStep(after, replace(conversion, name=name.rsplit("/", 1)[-1]), place, len(names))
            for place, name in enumerate(names)
        )
        return replace(options, input_steps=(*options.input_steps, *steps))

    def _change_output_activation(self, options: ScriptOptions, command: Command) -> ScriptOptions:
        layer = self._layer(command, 0) if len(command.positional) == 2 else None
        change = ActivationChange(layer, str(command.positional[-1]))
        return replace(options, activations=(*options.activations, change))

    def _nms_postprocess(self, options: ScriptOptions, command: Command) -> ScriptOptions:
        config: Path | None = None
        arch: str | None = None
        for value in command.positional:
            if isinstance(value, Name):
                arch = str(value)
            else:
                config = self.folder / str(value)
        plain: dict[str, Any] = dict(command.keyword)
        if "config_path" in plain:
            config = self.folder / str(plain.pop("config_path"))
        plain.pop("dfl_on_nn_core", None)
        arch = str(plain.pop("meta_arch")) if "meta_arch" in plain else arch
        engine = str(plain.pop("engine")) if "engine" in plain else None
        only = bool(plain.pop("bbox_decoding_only", False))
        return replace(options, nms=NmsRequest(config, arch, engine, only, plain))

    def _logits_layer(self, options: ScriptOptions, command: Command) -> ScriptOptions:
        if len(command.positional) < 4 and quirk("four-logits-arguments"):
            raise self.fail(command, "logits_layer takes a layer, a kind, an axis and a place")
        kind = str(command.positional[1])
        axis = (
            int(self._number(command, command.positional[2])) if len(command.positional) > 2 else 1
        )
        request = LogitsRequest(command.targets[0], self._layer(command, 0), kind, axis)
        return replace(options, logits=(*options.logits, request))

    def _model_optimization_config(self, options: ScriptOptions, command: Command) -> ScriptOptions:
        if str(command.positional[0]) != "calibration":
            return replace(
                options, without_effect=(*options.without_effect, command.source.strip())
            )
        return replace(
            options,
            calibration_size=self._positive(command, "calibset_size", options.calibration_size),
            batch_size=self._positive(command, "batch_size", options.batch_size) or 1,
        )

    def _model_optimization_flavor(self, options: ScriptOptions, command: Command) -> ScriptOptions:
        level = command.keyword.get("optimization_level", options.optimization_level)
        compression = command.keyword.get("compression_level", options.compression_level)
        return replace(
            options,
            optimization_level=level,  # type: ignore[arg-type]
            compression_level=compression,  # type: ignore[arg-type]
        )

    def _quantization_param(self, options: ScriptOptions, command: Command) -> ScriptOptions:
        mode = command.keyword.get("precision_mode")
        bits: tuple[int | None, int | None] = (None, None)
        if mode is not None:
            choices = COMMANDS[command.name].keyword["precision_mode"].choices
            match = _PRECISION.match(str(mode))
            if match is None or mode not in choices:
                raise self.fail(
                    command, f"{mode} is no precision", at=command.keyword_spans["precision_mode"]
                )
            bits = (int(match[3] or match[1]), int(match[2]))
        precision = LayerPrecision(
            self._layers(command),
            bits[0],
            bits[1],
            self._range(command, "force_range_in"),
            self._range(command, "force_range_out"),
            int(self._number(command, command.keyword.get("force_range_index", 0))),
        )
        return replace(options, precisions=(*options.precisions, precision))

    def _pre_quantization_optimization(
        self, options: ScriptOptions, command: Command
    ) -> ScriptOptions:
        return replace(options, before=(*options.before, self._algorithm(command)))

    def _post_quantization_optimization(
        self, options: ScriptOptions, command: Command
    ) -> ScriptOptions:
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
