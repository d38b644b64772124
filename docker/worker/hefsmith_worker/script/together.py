"""Commands that contradict or repeat each other."""

from __future__ import annotations

from typing import Dict, Iterator, Optional

from hefsmith_worker.contract.commands import COMMANDS, CommandSpec
from hefsmith_worker.contract.counting import counted
from hefsmith_worker.contract.findings import WARNING, Finding
from hefsmith_worker.contract.options import VENDOR_CALIBRATION_IMAGES
from hefsmith_worker.script.finding import at
from hefsmith_worker.script.merge import slots
from hefsmith_worker.script.syntax import Command, Script
from hefsmith_worker.script.values import Name, names_in

#: Commands with a rule of their own, or whose later lines are meant to change earlier ones.
_REPEATABLE = (
    "normalization",
    "nms_postprocess",
    "pre_quantization_optimization",
    "quantization_param",
)


def check_together(script: Script, images: Optional[int]) -> Iterator[Finding]:
    """Check what the commands of a script say together; ``images`` is how many there are."""
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
            yield at(
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
        yield at(command.span, "error", "nms-twice", f"line {commands[0].line} has an NMS already")


def _repeated_settings(script: Script) -> Iterator[Finding]:
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
            yield at(
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
                yield at(
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
            yield at(
                command.keyword_spans["calibset_size"],
                "error",
                "too-few-images",
                f"asks for {counted(size, 'calibration image')}, there are {images}",
            )
        elif isinstance(size, int) and size < images:
            yield at(
                command.keyword_spans["calibset_size"],
                "warning",
                "images-unused",
                f"{images - size} of {images} calibration images are not used",
            )
    if not sizes and images > VENDOR_CALIBRATION_IMAGES:
        yield Finding(
            "images-unused",
            WARNING,
            f"no calibset_size: the SDK takes {VENDOR_CALIBRATION_IMAGES} of {images} images",
            f"add model_optimization_config(calibration, calibset_size={images})",
            line=1,
            column=1,
        )
