"""Commands with rules of their own: what their arguments mean together."""

from __future__ import annotations

from typing import Callable, Iterator, Mapping

from hefsmith_worker.contract import commands as table
from hefsmith_worker.contract.commands import COMMANDS
from hefsmith_worker.contract.counting import counted
from hefsmith_worker.contract.families import META_ARCHS
from hefsmith_worker.contract.findings import Finding
from hefsmith_worker.contract.options import FOUR_BIT_SHARE, LEVELS
from hefsmith_worker.script.finding import at, close_to
from hefsmith_worker.script.kinds import all_are, is_integer, is_layers, is_number
from hefsmith_worker.script.syntax import Command
from hefsmith_worker.script.values import Name, render


def _normalization(command: Command) -> Iterator[Finding]:
    if len(command.positional) < 2:
        return
    mean, std = command.positional[:2]
    if not (isinstance(mean, tuple) and isinstance(std, tuple)):
        return
    if len(mean) != len(std):
        yield at(
            command.positional_spans[1],
            "error",
            "normalization-length",
            f"{counted(len(mean), 'mean')}, but {counted(len(std), 'deviation')}",
        )
    if any(value == 0 for value in std):
        yield at(command.positional_spans[1], "error", "normalization-zero", "division by zero")
    elif all_are(mean, is_number) and all_are(std, is_number) and len(std):
        largest = max(abs(float(value)) for value in (*mean, *std))  # type: ignore[arg-type]
        if largest <= 1.0 and any(value != 1 for value in std):
            yield at(
                command.positional_spans[0],
                "warning",
                "normalization-scale",
                "mean and std are in units of 0..255 here, these look like units of 0..1",
                "multiply both by 255",
            )


def _flavor(command: Command) -> Iterator[Finding]:
    level = command.keyword.get("optimization_level")
    if is_integer(level) and level not in LEVELS:
        yield at(
            command.keyword_spans["optimization_level"],
            "error",
            "level",
            f"there is no optimization_level {level}",
            "levels are 0 to 4, and -100 for none",
        )
    compression = command.keyword.get("compression_level")
    if isinstance(compression, int) and compression not in FOUR_BIT_SHARE:
        yield at(
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
            yield at(
                command.positional_spans[0],
                "error",
                "unknown-choice",
                f"{render(value)} is not an activation",
                f"known are {', '.join(sorted(choices))}; a layer goes before it",
            )
    elif command.positional and not is_layers(command.positional[0]):
        yield at(
            command.positional_spans[0],
            "error",
            "wrong-kind",
            f"{render(command.positional[0])} must be {table.LAYERS}",
        )


def _conversion(command: Command) -> Iterator[Finding]:
    choices = COMMANDS["input_conversion"].positional[1].choices
    if len(command.positional) == 1 and str(command.positional[0]) not in choices:
        close = close_to(str(command.positional[0]), choices)
        yield at(
            command.positional_spans[0],
            "error",
            "unknown-choice",
            f"{command.positional[0]} is not a conversion",
            f"did you mean {close}?" if close else f"known are {', '.join(sorted(choices))}",
        )


def _nms(command: Command) -> Iterator[Finding]:
    arch = command.keyword.get("meta_arch")
    if arch is None and len(command.positional) > 1:
        arch = command.positional[1]
    engine = command.keyword.get("engine")
    known = META_ARCHS.get(arch) if isinstance(arch, Name) else None
    if engine == "nn_core" and known is not None and not known.on_chip:
        yield at(
            command.keyword_spans["engine"],
            "error",
            "nms-engine",
            f"the chip's NMS core cannot run {arch}",
            "use engine=cpu",
        )
    if not command.positional and arch is None and "config_path" not in command.keyword:
        yield at(
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
        yield at(command.span, "error", "loss-lengths", f"lists of one length are needed: {said}")


#: The command's name, and what to check of it beside its arguments.
RULES: Mapping[str, Callable[[Command], Iterator[Finding]]] = {
    "normalization": _normalization,
    "model_optimization_flavor": _flavor,
    "change_output_activation": _activation,
    "input_conversion": _conversion,
    "nms_postprocess": _nms,
    "post_quantization_optimization": _finetune,
}
