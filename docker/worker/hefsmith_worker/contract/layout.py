"""Names of files and folders in a build, below its work folder; forward slashes everywhere.

The worker writes the first group, the host the second. What only the stages need is dropped
when a build is finished.
"""

from __future__ import annotations

#: The plan that the host hands to the worker.
PLAN = "plan.json"
ONNX = "model.onnx"
ONNX_NAMED = "named/model.onnx"
TFLITE = "model.tflite"
TFLITE_MAP = "tflite.json"
HAR_NATIVE = "har/native.har"
HAR_QUANTIZED = "har/quantized.har"
HAR = "model.har"
SCRIPT = "model.alls"
#: What the network's outputs mean, and how boxes are made of them.
HEAD = "head.json"
#: The part of the network behind the chip's outputs.
TAIL = "tail.onnx"
PARSED = "parsed.json"
CALIBRATION = "calibration"
CALIBRATION_INDEX = CALIBRATION + "/index.json"
#: What quantisation does to each layer and output.
ANALYSIS = "analysis.json"
#: Samples with the answers of every step.
GOLDEN = "golden"
#: Names inside the golden folder: what is there, what the host added, what stages pass on.
INDEX_IN_GOLDEN = "golden.json"
ADDED_IN_GOLDEN = "added.json"
MASKS_IN_GOLDEN = "masks.npy"
#: In a mask, a pixel of which nobody says what it shows.
MASK_UNKNOWN = 255
DRAFT_IN_GOLDEN = "draft.json"
GOLDEN_INDEX = GOLDEN + "/" + INDEX_IN_GOLDEN
GOLDEN_DRAFT = GOLDEN + "/" + DRAFT_IN_GOLDEN
#: The SDK's own logs.
LOGS = "logs"
#: Pictures of what the network is given: ``contact-sheet.jpg``, ``contact-sheet-2.jpg``...
CONTACT_SHEET = "contact-sheet"

#: What a build was asked, what ran, what came out.
SUMMARY = "build.json"
MANIFEST = "manifest.json"
RUN_LOG = "run.log"
REPORT = "report.html"
VERDICT = "verdict.json"
PROOF = "proof.json"
#: Of a build in the background: what finishing it needs, and that it is one.
HOST_PLAN = "host-plan.json"
DETACHED = ".detached"

#: What is left out of the artifacts.
PASSING_FILES = (PLAN, HOST_PLAN, DETACHED, PARSED, GOLDEN_DRAFT)
PASSING_FOLDERS = (CALIBRATION, "har", LOGS)
