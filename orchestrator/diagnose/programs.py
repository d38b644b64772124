"""Tells which programs a log shows, so that a cause is named only where it can occur.

``list index out of range`` means one thing in the parser and another in a camera program. Signs
are names that belong to one program: of a module's folder, a tool, a tag before its lines.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

from orchestrator.diagnose.words.text import REMEMBERED

Support = Literal["yes", "open", "no"]

#: Program -> what only it prints, for folded text in small letters.
SIGNS: dict[str, re.Pattern[str]] = {
    name: re.compile(pattern)
    for name, pattern in {
        "compiler": r"hailo_sdk_|hailo_model_optimization|hailo_model_zoo|<hailo model zoo"
        r"|\bhailomz\b|\bhailo (?:parser|optimize|compiler|profiler)\b|client_runner|acceleras"
        r"|\[info\] (?:translation|starting |loading model script|restored onnx|using dataset)"
        r"|onnx shape inference failed|\bonnx::\w+_\d+|dataflow[ _-]compiler"
        r"|backendallocator|allocatorscript|parsingwithrecommendation"
        r"|unsupported\w+(?:layer|operation|model)error|unsupportedoperationerror"
        r"|unsupportedmodelerror|unexpectednodeerror|misspellnodeerror|agent infeasible"
        r"|valid partition to contexts|failed to reach required fps on"
        r"|no successful assignments|negativeslopeexponent|badinputs?shape|bbox_decoders"
        r"|kernel features: \d|hailonnexception|nmsconfigpostprocess"
        r"|\[error\] (?:mapping|compilation) failed|failed to produce compiled"
        # Not the names of Keras, which are like conv2d_1.
        r"|[\w./-]+/(?:conv|dw|matmul|input_layer|output_layer|concat|ew_add)\d+(?![a-z\d])",
        "runtime": r"\[hailort|hailo_platform|hailortcli|pyhailort|libhailort"
        # The compiler says which HailoRT is there, and what that could do; it is no run of it.
        r"|hailort(?:status)?exception|\bvdevice\b|\bhailort\b(?! (?:version: |post-?processing))",
        "camera": r"picamera2|libcamera|rpicam-|v4l2_videodevice\.cpp|error: \*\*\* .* \*\*\*"
        r"|\b(?:info|warn|error) \w+ (?:camera|pisp|vc4|v4l2_|ipa_|pipeline_|dma_|rpi|media_)"
        r"\w*\.cpp:\d",
        "gstreamer": r"gst_|gstreamer|hailonet|gst\.|v4l2src|gst-(?:launch|discoverer|play)-"
        r"|/gstpipeline:",
        "docker": r"error response from daemon|\bdocker\b|docker-compose|oci runtime|containerd",
        "podman": r"\bpodman\b|\bbuildah\b",
        "ssh": r"\bssh\b|\bscp\b|\bsftp\b|\brsync\b|ssh-copy-id|paramiko",
        "packages": r"\bapt(?:-get)?\b|\bdpkg\b|\bpip3?\b|un(?:met|satisfied) dependencies"
        r"|\.whl\b",
        "dkms": r"\bdkms\b|/lib/modules|modprobe|insmod",
        "kernel": r"\bhailo(?:1x)? [0-9a-f]{4}:[0-9a-f]{2}|\bprobing:|\bpcieport\b",
        "export": r"torch[./]onnx|ultralytics|onnxscript|yolo export|tf2onnx|onnx-?sim|onnxslim"
        r"|\b(?:onnx|torchscript|pytorch|openvino|tensorflow savedmodel): (?:starting|export )",
        "onnx": r"onnxruntime|onnx\.checker|onnx_cpp2py",
    }.items()
}  # fmt: skip

#: Where a log of one program alone belongs, when no stage was announced.
STAGES = {
    "runtime": "run",
    "camera": "run",
    "gstreamer": "run",
    "kernel": "run",
    "dkms": "run",
    "export": "export",
    "ssh": "ship",
    "docker": "docker",
    "podman": "docker",
}


#: Other programs' stamps at the beginning of a line: none of the tools of Hailo printed it.
_STAMPS = re.compile(
    r"\s*(?:cv2\.error:|opencv\(|\[ ?(?:warn|error|info): ?\d+@[\d.]+\]|\[(?:tensorrt|trt)\]"
    r"|\[\d\d/\d\d/\d{4}-[\d:]+\] \[(?:trt\] \[)?[iwev]\]|onnxruntime: |\S+ \[[ew]:onnxruntime:"
    r"|\[[\w,]+ @ 0x[0-9a-f]{4,}\]|(?:ggml|llama|clip)_\w+: |tvm\.\S+: "
    r"|(?:(?!\S*hailo)\S+:\d+: )?(?:user|future|deprecation|runtime|resource|syntax)warning: )"
)


@lru_cache(maxsize=REMEMBERED)
def of_another(text: str) -> bool:
    """Tell whether a line or message carries the stamp of a program that is none of Hailo's."""
    return _STAMPS.match(text.lower()) is not None


@lru_cache(maxsize=REMEMBERED)
def shown_by(lower: str) -> frozenset[str]:
    """Return the programs that a line (in small letters) gives away."""
    return frozenset(name for name, sign in SIGNS.items() if sign.search(lower))


#: What names a program and is no word of a run of it: parts of a report, the settings beside it,
#: what is installed, what a card answers when it is asked who it is, and what the asker tells.
_MENTIONS = re.compile(
    r"^\s*(?:#{1,6} |\*\*\S|[-*] \[[ xX]\] |\| \S"
    r"|(?:- )?(?!\w*(?:Error|Exception):)[\w-]{1,40}:(?: \S+)?$|- /\S+:/\S+$"
    r"|[A-Za-z][\w+.-]*(?: [A-Za-z0-9][\w+.-]*){0,3}$)"
    r"|\bhailortcli (?:fw-control identify|scan|--version|-v)\b"
    r"|^(?:ii|hi|rc) +\S|^\S+==\d|^\S+ +\d+\.\d[\w.+~:-]*$"
    r"|^hailort(?:-cli)?(?: version:?)? v?\d+\.\d\S*$"
    r"|\b(?:I(?:'m|'ve)? (?!cam|/)[a-z]{2,}|[Mm]y [a-z]+|[Ww]e (?:have|use|are|want|tried)"
    r"|[Tt]hank(?:s| you)\b)"
)


@lru_cache(maxsize=REMEMBERED)
def only_mentioned(folded: str) -> bool:
    """Tell whether a line (folded) speaks of programs, and none of them printed it in a run."""
    return _MENTIONS.search(folded) is not None


def supports(
    where: tuple[str, ...], seen: frozenset[str], named: frozenset[str] = frozenset()
) -> Support:
    """Tell whether a cause that occurs in ``where`` fits the programs ``seen``.

    ``open`` is a log that gives no program away, or only names it (``named``).
    """
    if not where or not seen.isdisjoint(where):
        return "yes"
    return "no" if seen and named.isdisjoint(where) else "open"
