"""Stage optimize: the model script is written, and the network is quantised on the pictures."""

from __future__ import annotations

import re
import traceback
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional, Tuple

import numpy as np

from hefsmith_worker.contract.answers import LEVEL_ONE, nms_check
from hefsmith_worker.contract.enough import too_few
from hefsmith_worker.contract.layout import (
    CALIBRATION_INDEX,
    HAR_NATIVE,
    HAR_QUANTIZED,
    HEAD,
    PARSED,
    SCRIPT,
)
from hefsmith_worker.contract.options import NmsOptions, OptimizeOptions
from hefsmith_worker.network import as_data, as_input
from hefsmith_worker.protocol import Plan, StageError
from hefsmith_worker.script.generate import GeneratedScript, generate
from hefsmith_worker.script.precision import precision_table
from hefsmith_worker.script.request import ScriptRequest, script_request
from hefsmith_worker.workspace import Workspace

if TYPE_CHECKING:
    from hefsmith_worker.contract.documents import Parsed

#: How a traceback names the step, as a module or in words.
_BIAS_CORRECTION = re.compile(r"bias[ _]correction")


def run(workspace: Workspace) -> Dict[str, Any]:
    """Write ``model.alls`` with its files, and the quantised HAR."""
    parsed = workspace.read_json(PARSED, "parse")
    index = workspace.read_json(CALIBRATION_INDEX, "calibrate")
    request = _request(workspace, parsed, index)
    few = too_few(request.options.level, index["used"])
    if few is not None:
        workspace.channel.send(few)
    calibration = _calibration(workspace, parsed)
    workspace.runner(HAR_NATIVE, "parse")
    generated = _until_quantised(workspace, request, calibration)
    workspace.announce("har-quantized", workspace.save_har(HAR_QUANTIZED))
    options = OptimizeOptions.read(workspace.plan.of("optimize"))
    return {
        "level_asked": options.level,
        "compression_asked": options.compression,
        "images_given": index["used"],
        "images_asked": index["asked"],
        "nms": dict(generated.nms),
        "precision": precision_table(generated.text, workspace.described()),
    }


def _until_quantised(
    workspace: Workspace, request: ScriptRequest, calibration: Any
) -> GeneratedScript:
    """Quantise with the script that is asked for, or with the next one that the SDK takes."""
    files: Dict[str, str] = {}
    try:
        while True:
            generated = generate(request)
            other = refused_before(workspace.plan, request, generated)
            if other is not None:
                request, finding = other
                workspace.channel.finding(**finding)
                continue
            files = {SCRIPT: generated.text, **generated.files}
            try:
                _quantise(workspace, files, calibration)
            except StageError:
                raise
            except Exception as error:
                other = another_way(request, generated, error)
                if other is None:
                    raise
            else:
                return generated
            request, finding = other
            for name in files:
                workspace.path(name).unlink()
            workspace.channel.finding(**finding)
            workspace.reload(HAR_NATIVE, "parse")
    finally:
        # Also where the SDK failed: the script is what somebody looks at then.
        for name in sorted(files, key=lambda name: (name != SCRIPT, name)):
            role = "script" if name == SCRIPT else "script-file"
            workspace.announce(role, workspace.plan.work / name)


def _quantise(workspace: Workspace, files: Mapping[str, str], calibration: Any) -> None:
    for name, text in files.items():
        workspace.path(name).write_bytes(text.encode("utf-8"))
    runner = workspace.runner(HAR_NATIVE, "parse")
    runner.load_model_script(str(workspace.path(SCRIPT)))
    runner.optimize_full_precision(calibration)
    runner.optimize(calibration)


def refused_before(
    plan: Plan, request: ScriptRequest, generated: GeneratedScript
) -> "Optional[Tuple[ScriptRequest, Dict[str, Any]]]":
    """Return what to ask for at once, where the contact test was refused the usual form.

    Only a level that the recipe names: which one runs by default is the SDK's to choose, and may
    need no bias correction.
    """
    if request.options.level == 1 and plan.refuses(LEVEL_ONE):
        said = plan.answers[LEVEL_ONE].partition(" ")[2] or "no"
        message = (
            "this compiler fails in bias correction, as the contact test found (%s); level 0 "
            "runs instead" % said[:200]
        )
        return _level_zero(request, message)
    check = nms_check(str(generated.nms.get("made")))
    if generated.doubt and plan.refuses(check):
        said = plan.answers[check].partition(" ")[2] or "no"
        return _raw_outputs(request, generated, "the contact test was told: " + said[:200])
    return None


def _level_zero(request: ScriptRequest, message: str) -> "Tuple[ScriptRequest, Dict[str, Any]]":
    finding = {
        "code": "optimize.bias-correction",
        "severity": "warning",
        "message": message,
        "asked": request.options.level,
        "got": 0,
        "fix": "Set optimization.level to 0, or use another version of the compiler.",
    }
    return replace(request, options=replace(request.options, level=0)), finding


def another_way(
    request: ScriptRequest, generated: GeneratedScript, error: BaseException
) -> "Optional[Tuple[ScriptRequest, Dict[str, Any]]]":
    """Return what to ask the SDK for instead, and the finding that says so; ``None`` for nothing.

    Only for what public sources leave open: bias correction that some saw fail, and forms of an
    NMS that nobody has shown. Any other failure is the user's to know.
    """
    told = "".join(traceback.format_exception(type(error), error, error.__traceback__)).lower()
    said = "%s: %s" % (type(error).__name__, str(error).strip().split("\n")[0][:200])
    options = request.options
    if options.level in (None, 1) and _BIAS_CORRECTION.search(told):
        return _level_zero(
            request, "the compiler failed in bias correction (%s); level 0 runs instead" % said
        )
    if generated.doubt and ("nms" in told or "postprocess" in told):
        return _raw_outputs(request, generated, said)
    return None


def _raw_outputs(
    request: ScriptRequest, generated: GeneratedScript, said: str
) -> "Tuple[ScriptRequest, Dict[str, Any]]":
    finding = {
        "code": "optimize.nms-refused",
        "severity": "warning",
        "message": "the compiler refused the NMS (%s: %s); the HEF gives the raw outputs of "
        "the head, which are decoded on the host" % (generated.doubt, said),
        "fix": "Set postprocess.nms.enabled to false, or give postprocess.nms.config.",
    }
    return replace(request, nms_refused="the compiler refused " + generated.doubt), finding


def _request(workspace: Workspace, parsed: Parsed, index: Mapping[str, Any]) -> ScriptRequest:
    options = OptimizeOptions.read(workspace.plan.of("optimize"))
    return script_request(
        hn=parsed["hn"],
        inputs=parsed["inputs"],
        end_nodes=parsed["end_nodes"],
        head=workspace.read_json(HEAD, "parse"),
        preprocess={entry["input"]: entry["preprocess"] for entry in index["inputs"]},
        images=int(index["used"]),
        options=options,
        nms_config=_own_config(workspace, options.nms),
        arch=workspace.plan.arch,
    )


def _own_config(workspace: Workspace, nms: NmsOptions) -> Optional[str]:
    if nms.config is None:
        return None
    return workspace.plan.input(nms.config).read_text(encoding="utf-8")


def _calibration(workspace: Workspace, parsed: Parsed) -> Any:
    """Return memory maps, never copies: an array, or a mapping by the network's own layers."""
    return as_data(
        {
            parsed["inputs"][name]: as_input(
                np.load(str(path), mmap_mode="r"), parsed["hn"], parsed["inputs"][name]
            )
            for name, path in workspace.calibration_arrays().items()
        }
    )
