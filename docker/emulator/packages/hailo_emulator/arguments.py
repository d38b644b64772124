"""What the members of ``ClientRunner`` take, checked, with the errors that misuse gets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hailo_model_optimization.acceleras.utils.acceleras_exceptions import (
    AccelerasInitializationError,
)
from hailo_sdk_client.runner.exceptions import InvalidArgumentsException
from hefsmith_worker.contract.chips import LINE_5

from hailo_emulator import log
from hailo_emulator.line import (
    architectures,
    current_line,
    gpu_available,
    is_at_least,
    other_line_of,
)

if TYPE_CHECKING:
    from hailo_emulator.network import Network


def check_calibration_size(asked: int | None, given: int) -> None:
    """From 3.33.1 on more images than there are end the run; before, all of them were taken."""
    if asked is None or asked <= given or not is_at_least(3, 33, 1):
        return
    msg = f"calibset_size is {asked}, the calibration set has {given} entries"
    raise AccelerasInitializationError(msg)


def tell_gpu() -> None:
    """Log which card trains, in the words of the compiler's line."""
    if not gpu_available():
        log.info("No GPU chosen and no suitable GPU found, falling back to CPU.")
    elif current_line().compiler >= LINE_5.compiler:
        log.info("No GPU chosen, selecting least used GPU")
        log.info("Selected GPU: 0")
    else:
        log.info("No GPU chosen, Selected GPU 0")


def tell_mapping(network: Network) -> None:
    """Log which nodes became inputs and which ones outputs, as the vendor does."""
    starts = ", ".join(f"'{port.original_name}': '{port.name}'" for port in network.inputs)
    ends = ", ".join(f"'{port.original_name}'" for port in network.outputs)
    log.info(f"Start nodes mapped from original model: {starts}.")
    log.info(f"End nodes mapped from original model: {ends}.")


def check_arch(arch: object) -> None:
    """Refuse a chip that this compiler does not know."""
    line = current_line()
    if not isinstance(arch, str):
        msg = f"hw_arch is {arch!r}; a name is needed"
        raise InvalidArgumentsException(msg)
    known = architectures()
    if arch in known:
        return
    other = other_line_of(arch)
    text = f"hw_arch {arch} is not supported by Dataflow Compiler {line.compiler}.x"
    if other is not None and other is not line:
        text += f"; use Dataflow Compiler {other.compiler}.x for it"
    text += f". Supported architectures: {', '.join(known)}"
    raise InvalidArgumentsException(text)


def check_name(name: object) -> None:
    """Refuse a network name that no file could have."""
    if not isinstance(name, str) or not name or not all(c.isalnum() or c in "_-." for c in name):
        msg = f"The network name {name!r} is not valid: letters, digits, '_', '-' and '.' only"
        raise InvalidArgumentsException(msg)


def node_names(names: object, argument: str) -> tuple[str, ...] | None:
    """Return a list of names, ``None`` for an empty one."""
    if names is None:
        return None
    if (
        isinstance(names, str)
        or not isinstance(names, (list, tuple))
        or not all(isinstance(name, str) for name in names)
    ):
        msg = f"{argument} is {names!r}; a list of names is needed"
        raise InvalidArgumentsException(msg)
    return tuple(names) or None


def input_shapes(shapes: Any, proto: Any) -> dict[str, tuple[int, ...]] | None:
    """Return shapes by input, also where one input has the only one."""
    if shapes is None:
        return None
    known = {tensor.name for tensor in proto.graph.initializer}
    inputs = [value.name for value in proto.graph.input if value.name not in known]
    if isinstance(shapes, (list, tuple)):
        if len(inputs) != 1:
            msg = f"net_input_shapes needs a dict: the model has the inputs {inputs}"
            raise InvalidArgumentsException(msg)
        shapes = {inputs[0]: shapes}
    if not hasattr(shapes, "items"):
        msg = f"net_input_shapes is {shapes!r}; a dict of shapes by input name is needed"
        raise InvalidArgumentsException(msg)
    return {str(name): tuple(int(n) for n in shape) for name, shape in shapes.items()}


def script_text(script: Any) -> tuple[str, str, str]:
    """Return (text, folder for relative paths, where it came from)."""
    if script is None:
        return "", str(Path.cwd()), "string"
    if isinstance(script, os.PathLike) or (
        isinstance(script, str) and "\n" not in script and "(" not in script and script.strip()
    ):
        path = Path(script)
        return path.read_text("utf-8"), str(path.absolute().parent), str(path)
    if not isinstance(script, str):
        msg = f"model_script is {type(script).__name__}; a text or a path is needed"
        raise InvalidArgumentsException(msg)
    return script, str(Path.cwd()), "string"
