"""What public sources leave open about the vendor's compiler, one switch each.

``HEFSMITH_EMULATED_QUIRKS=name,...`` makes the emulator act the other way, so that tests can see
hefsmith pass either way (first_contact.md 2.9). Nobody needs it for a build.
"""

from __future__ import annotations

import os

VARIABLE = "HEFSMITH_EMULATED_QUIRKS"

#: Name and what then happens.
QUIRKS = {
    "numpy-hn": "the HN holds numpy numbers and enumerations, which JSON does not know",
    "flat-inputs": "a vector input (1, F) is (N, 1, F) in the HN and at inference",
    "flat-rows": "a vector input (1, F) is (N, 1, 1, F) in the HN and at inference",
    "outer-activation": "a layer's activation stands beside its params in the HN, not in them",
    "bias-correction-fails": "bias correction ends in an error of Keras",
    "compiled-not-inferred": "a reloaded compiled HAR gives no float inference",
    "four-logits-arguments": "logits_layer needs all four arguments",
    "strict-nms": "ssd needs background_removal, yolov8 a regression_length of 16",
    "no-home": "compiling writes below the home folder",
    "renamed-layers": "the parser keeps names of its simplified graph, not of the ONNX nodes",
    "other-order": "a HAR's members stand in another order",
    "diverging-training": "a fine-tune on few images ruins the weights",
}


#: The same of the runtime; ``runtime/settings.py`` reads them.
RUNTIME_QUIRKS = {
    "crash-at-exit": "the process is killed while its interpreter shuts down, after its work",
    "numpy2-nbytes": "a wheel built for numpy 1 beside numpy 2: every array has 0 bytes",
    "version-unknown": "hailo_platform.__version__ says unknown",
    "nms-by-score": "boxes come by score instead of by class",
}


def quirk(name: str) -> bool:
    """Say whether a quirk is switched on. Raises ``RuntimeError`` for a name that is none."""
    assert name in QUIRKS, name
    active = {one.strip() for one in os.environ.get(VARIABLE, "").split(",")} - {""}
    unknown = sorted(active - set(QUIRKS) - set(RUNTIME_QUIRKS))
    if unknown:
        msg = f"{VARIABLE} names {', '.join(unknown)}; quirks are {', '.join(QUIRKS)}"
        raise RuntimeError(msg)
    return name in active
