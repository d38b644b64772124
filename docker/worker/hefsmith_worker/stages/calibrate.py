"""Stage calibrate: pictures become one memory-mapped array per input, and are looked at.

What the network is given is drawn too (``contact-sheet.jpg``, numbered when there are several
inputs), for the report.
"""

from __future__ import annotations

from typing import Dict

from hefsmith_worker import onnx_files
from hefsmith_worker.calibration import (
    CalibrationError,
    CalibrationRequest,
    CalibrationSet,
    build_calibration,
)
from hefsmith_worker.calibration.contact_sheet import draw_contact_sheet, save_contact_sheet
from hefsmith_worker.contract.layout import CALIBRATION, CALIBRATION_INDEX, CONTACT_SHEET, ONNX
from hefsmith_worker.contract.options import CalibrationOptions
from hefsmith_worker.golden import as_handed, as_stage_error, emit_to, input_specs, sources_below
from hefsmith_worker.protocol import StageError
from hefsmith_worker.workspace import Workspace

#: Tiles and width of the sheet: it is part of a page that is sent around, and 940 pixels wide.
TILES, WIDTH = 30, 860


def run(workspace: Workspace) -> Dict[str, object]:
    """Write ``calibration/*.npy``, ``calibration/index.json`` and the contact sheets."""
    import onnx

    wanted = workspace.plan.of("calibrate")
    options = CalibrationOptions.read(wanted)
    onnx_path = workspace.needed(ONNX, "export")
    model = onnx.load(str(onnx_path), load_external_data=False)
    specs = input_specs(wanted["preprocessing"], onnx_files.describe(model)["inputs"])
    request = CalibrationRequest.from_dict(
        {
            "inputs": [spec.to_dict() for spec in specs],
            "sources": sources_below(workspace, wanted["sources"]),
            "count": options.count,
            "minimum": options.minimum,
            "seed": options.seed,
            "weighs_level": False,
            "validation": sources_below(workspace, wanted["validation"])
            if wanted.get("validation")
            else None,
            "script": wanted["script"],
            "drop_duplicates": options.deduplicate,
            "model": str(onnx_path),
            "labels": wanted.get("labels", ()),
            "task": wanted.get("task"),
        }
    )
    try:
        calibration = build_calibration(
            request, workspace.path(CALIBRATION + "/x").parent, emit_to(workspace)
        )
    except CalibrationError as error:
        raise as_stage_error(workspace, error)
    if calibration.errors:
        first = calibration.errors[0]
        raise StageError(as_handed(workspace, first.message), code=first.code, fix=first.fix)
    summary = calibration.to_dict()
    prepared = {spec.name: spec.preprocess for spec in specs}
    workspace.write_json(
        CALIBRATION_INDEX,
        {
            "inputs": [
                {
                    "input": entry.name,
                    "file": entry.file,
                    "preprocess": prepared[entry.name].to_dict(),
                }
                for entry in calibration.inputs
            ],
            "asked": calibration.asked,
            "used": calibration.used,
        },
    )
    workspace.announce_tree("calibration", workspace.plan.work / CALIBRATION)
    _draw(workspace, request, calibration)
    # The histograms and names are in calibration.json; the event carries what is shown.
    keys = ("asked", "available", "dropped_duplicates", "unreadable", "float_check")
    return dict({key: summary[key] for key in keys}, used=calibration.used)


def _draw(workspace: Workspace, request: CalibrationRequest, calibration: CalibrationSet) -> None:
    for index, spec in enumerate(request.inputs, 1):
        number = "-%d" % index if len(request.inputs) > 1 else ""
        path = workspace.path("%s%s.jpg" % (CONTACT_SHEET, number))
        folder = workspace.plan.work / CALIBRATION
        save_contact_sheet(draw_contact_sheet(calibration, spec, folder, TILES, WIDTH), path)
        workspace.announce("contact-sheet", path)
