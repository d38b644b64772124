"""Writes the model script of one network: its own layers, its own head, its own pictures.

Order and forms follow the Model Zoo's scripts. What is left to the vendor's defaults is left
out; what the user wrote is at the end, word for word.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from typing import Dict, List, Mapping, Optional, Sequence, Tuple, Union

from hefsmith_worker.contract.counting import counted
from hefsmith_worker.contract.families import META_ARCHS
from hefsmith_worker.contract.options import (
    FINE_TUNE_LEVEL,
    FULL_IMAGES,
    VENDOR_CALIBRATION_IMAGES,
)
from hefsmith_worker.protocol import StageError
from hefsmith_worker.script.merge import Line, ScriptConflict, merge, read_user_lines
from hefsmith_worker.script.network import Layer
from hefsmith_worker.script.nms import CONFIG_NAME, Nms, NoNms, own_config, plan_nms
from hefsmith_worker.script.request import InputPlan, ScriptRequest
from hefsmith_worker.script.syntax import Command, Script
from hefsmith_worker.script.values import Name, Value


@dataclass(frozen=True)
class GeneratedScript:
    """The script, the files that must lie beside it, and what to tell the user.

    ``doubt`` says what of a generated NMS no public script has; the SDK may refuse it.
    """

    text: str
    files: Mapping[str, str] = field(default_factory=dict)
    notes: Tuple[str, ...] = ()
    #: What became of the wish for an NMS: ``made`` (its architecture), ``engine``, ``why`` not.
    nms: Mapping[str, Optional[str]] = field(default_factory=dict)
    doubt: str = ""


def generate(request: ScriptRequest) -> GeneratedScript:
    """Write the model script and its NMS JSON.

    Raises :class:`~hefsmith_worker.protocol.StageError` for lines of the user that cannot be
    read, contradict the recipe (both lines are shown), or ask for more than there is.
    """
    user = read_user_lines(request.options.script)
    nms = plan_nms(request)
    own_nms = user.named("nms_postprocess")
    lines = [*_normalisation(request, user), *_head(request, nms), *_optimisation(request)]
    _check_user(request, user, nms)
    kept, notes = merge(lines, user)
    files: Dict[str, str] = {}
    user_lines = request.options.script
    if own_nms:
        user_lines, files = _own_nms(request, own_nms[0])
    elif isinstance(nms, Nms) and not own_nms:
        files[CONFIG_NAME] = nms.config
        if nms.note:
            notes.append(nms.note)
    elif isinstance(nms, NoNms) and nms.why and not own_nms:
        notes.append(f"no NMS in the script: {nms.why}")
    text = _text(kept, user_lines, notes)
    doubt = nms.doubt if isinstance(nms, Nms) and not own_nms else ""
    return GeneratedScript(text, files, tuple(notes), _told(nms, own_nms), doubt)


def _told(nms: Union[Nms, NoNms], own: Sequence[Command]) -> Dict[str, Optional[str]]:
    if own:
        engine = own[0].keyword.get("engine")
        return {
            "made": "the line of optimization.script",
            "engine": None if engine is None else str(engine),
            "why": "",
        }
    if isinstance(nms, Nms):
        return {"made": nms.meta_arch, "engine": nms.engine, "why": ""}
    return {"made": None, "engine": None, "why": nms.why}


def _own_nms(request: ScriptRequest, command: Command) -> Tuple[Tuple[str, ...], Dict[str, str]]:
    """Put the JSON of the user's own NMS line beside the script, and let the line name it there."""
    named = [value for value in command.positional if type(value) is str]
    if not named:
        return request.options.script, {}
    path = str(named[0])
    if request.nms_config is None:
        msg = f"optimization.script:{command.line} names {path}, which the recipe does not give"
        raise StageError(
            msg,
            code="script.nms-json",
            fix="Set postprocess.nms.config to that file, or remove the line: "
            "the JSON is generated from the network",
        )
    name = posixpath.basename(path.replace("\\", "/"))
    lines = tuple(line.replace(path, name) for line in request.options.script)
    return lines, {name: own_config(request)}


def _text(lines: List[Line], user_lines: Tuple[str, ...], notes: List[str]) -> str:
    out = ["# Model script written by hefsmith for this network; its layer names fit no other."]
    out += [f"# {note}" for note in notes]
    why = ""
    for line in lines:
        if line.why != why:
            out += ["", f"# {line.why}"]
            why = line.why
        out.append(line.command.render())
    if user_lines:
        out += ["", "# optimization.script of the recipe:", *user_lines]
    return "\n".join(out) + "\n"


def _normalisation(request: ScriptRequest, user: Script) -> List[Line]:
    taken = set(request.network.names())
    taken.update(name.rsplit("/", 1)[-1] for command in user for name in command.targets)
    lines: List[Line] = []
    several = len(request.network.inputs()) > 1
    for plan in request.inputs:
        if not plan.mean:
            continue
        number = 1
        while f"normalization{number}" in taken:
            number += 1
        name = f"normalization{number}"
        taken.add(name)
        arguments: Tuple[Value, ...] = _constants(request, plan)
        if several:
            arguments += (Name(plan.layer.rsplit("/", 1)[-1]),)
        lines.append(
            Line(
                Command("normalization", (name,), arguments),
                "Normalisation on the chip: calibration set and device get raw 0..255.",
                {"": "preprocessing"},
            )
        )
    return lines


def _constants(request: ScriptRequest, plan: InputPlan) -> Tuple[Tuple[float, ...], ...]:
    layer = request.network.find(plan.layer)
    channels = layer.shape[-1] if layer is not None and layer.shape else len(plan.mean)
    both = []
    for word, values in (("mean", plan.mean), ("std", plan.std)):
        if len(values) not in (1, channels):
            msg = (
                f"preprocessing.{word} has {len(values)} values, "
                f"but input {plan.layer} has {channels} channels"
            )
            raise StageError(
                msg,
                code="script.normalization",
                fix=f"Give one value, or {channels}",
            )
        both.append(values * channels if len(values) == 1 else values)
    return tuple(both)


def _head(request: ScriptRequest, nms: Union[Nms, NoNms]) -> List[Line]:
    lines: List[Line] = []
    if isinstance(nms, Nms):
        lines += [
            Line(
                Command("change_output_activation", (), (Name(layer.short), Name("sigmoid"))),
                "The NMS takes scores, not logits.",
                {"": "the NMS of the recipe"},
            )
            for layer in nms.sigmoid
        ]
        arguments: Dict[str, Value] = {"meta_arch": Name(nms.meta_arch), "engine": Name(nms.engine)}
        stated = {"": "postprocess.nms.config"} if request.nms_config is not None else {}
        lines.append(
            Line(
                Command("nms_postprocess", (), (CONFIG_NAME,), arguments),
                "Boxes leave the HEF decoded and suppressed.",
                {} if stated and _same_file(request) else stated,
            )
        )
    elif (
        request.options.softmax
        and (request.options.task or request.head.get("task")) == "classification"
    ):
        for layer in request.network.producers():
            if layer.kind == "softmax" or "softmax" in layer.activation:
                continue
            _check_softmax(layer)
            lines.append(
                Line(
                    Command(
                        "logits_layer",
                        ("logits_layer1",),
                        # All four, as every public script has it.
                        (Name(layer.short), Name("softmax"), -1, Name("cpu")),
                    ),
                    "postprocess.softmax of the recipe.",
                    {},
                )
            )
    return lines


def _check_softmax(layer: Layer) -> None:
    """Raise :class:`StageError` where a softmax would say nothing."""
    if layer.activation == "sigmoid":
        why = "has probabilities already, by a sigmoid"
    elif layer.shape and layer.shape[-1] == 1:
        why = "is one number, whose softmax is always 1"
    else:
        return
    msg = f"postprocess.softmax: the output {layer.short} {why}"
    raise StageError(msg, code="script.softmax", fix="Leave out postprocess.softmax.")


def _same_file(request: ScriptRequest) -> bool:
    """Say whether the user's own nms_postprocess line is the one for the recipe's JSON."""
    return any(command.startswith("nms_postprocess") for command in request.options.script)


def _optimisation(request: ScriptRequest) -> List[Line]:
    config: Dict[str, Value] = {
        "batch_size": max(1, min(request.options.batch_size, request.images)),
        "calibset_size": request.images,
    }
    flavor: Dict[str, Value] = {}
    stated: Dict[str, str] = {}
    if request.options.level is not None:
        flavor["optimization_level"] = request.options.level
        stated["optimization_level"] = "optimization.level"
    flavor["compression_level"] = request.options.compression
    if request.options.compression:
        stated["compression_level"] = "optimization.compression"
    lines = [
        Line(
            Command("model_optimization_config", (), (Name("calibration"),), config),
            f"All {request.images} calibration images; "
            f"the SDK would take {VENDOR_CALIBRATION_IMAGES}.",
            {},
        ),
        Line(
            Command("model_optimization_flavor", (), (), flavor),
            "Level and compression that the recipe asks for.",
            stated,
        ),
    ]
    if request.options.level == FINE_TUNE_LEVEL and request.images < FULL_IMAGES:
        lines.append(
            Line(
                Command(
                    "post_quantization_optimization",
                    (),
                    (Name("finetune"),),
                    {"policy": Name("enabled"), "dataset_size": request.images},
                ),
                f"Level 2 is trained on {FULL_IMAGES} images unless it is told how many there are.",
                {},
            )
        )
    outputs = tuple(Name(layer.short) for layer in request.network.outputs())
    if request.options.outputs_16bit and outputs:
        lines.append(
            Line(
                Command("quantization_param", (), (outputs,), {"precision_mode": Name("a16_w16")}),
                "16-bit outputs.",
                {"precision_mode": "optimization.outputs_16bit"},
            )
        )
    return lines


def _check_user(request: ScriptRequest, user: Script, nms: Union[Nms, NoNms]) -> None:
    """Refuse what the lines alone cannot show to be wrong: more images than there are."""
    for command in user.named("model_optimization_config"):
        size = command.keyword.get("calibset_size")
        if isinstance(size, int) and size > request.images:
            msg = (
                f"optimization.script asks for {counted(size, 'calibration image')}, "
                f"there are {request.images}:\n"
                f"  optimization.script:{command.line}: {command.render()}\n"
                f"  ours: model_optimization_config(calibration, calibset_size={request.images})"
            )
            raise ScriptConflict(
                msg,
                code="script.conflict",
                fix="Remove calibset_size from optimization.script, or add images.",
            )
    for command in user.named("change_output_activation"):
        if (
            len(command.positional) < 2
            and isinstance(nms, Nms)
            and not META_ARCHS[nms.meta_arch].all_scores
        ):
            ours = ", ".join(layer.short for layer in nms.sigmoid)
            msg = (
                "optimization.script changes every output, the boxes of this head too:\n"
                f"  optimization.script:{command.line}: {command.render()}\n"
                f"  ours: change_output_activation(..., sigmoid) for {ours} only"
            )
            raise ScriptConflict(
                msg,
                code="script.conflict",
                fix="Remove the line from optimization.script: the right ones are generated",
            )
