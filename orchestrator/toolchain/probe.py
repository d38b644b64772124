"""Asks an image what it is: one short run without network, answers as JSON.

The program runs on whatever Python the image has (3.8 upwards) and imports the SDK only where
the installed packages do not tell its version. Names, tags and labels are not looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.errors import ArtifactError, escape_control
from orchestrator.reading import parse_json

if TYPE_CHECKING:
    from collections.abc import Mapping

MARK = "HEFSMITH-PROBE "

#: Looks for the interpreter that has the SDK, the vendor's place first, and runs the script
#: ($1) on each until one says that it has it.
SHELL = r"""
seen=
for python in "${VIRTUAL_ENV:+$VIRTUAL_ENV/bin/python}" \
    /local/workspace/hailo_virtualenv/bin/python /local/workspace/*/bin/python \
    "$(command -v python 2>/dev/null)" "$(command -v python3 2>/dev/null)" \
    /opt/*/bin/python /usr/local/bin/python3 /usr/bin/python3; do
    [ -n "$python" ] && [ -x "$python" ] || continue
    case " $seen " in *" $python "*) continue ;; esac
    seen="$seen $python"
    "$python" -c "$1" "$python" && exit 0
done
echo "tried:$seen" >&2
exit 3
"""

SCRIPT = r"""
import json, os, sys
os.environ.setdefault("USER", "hailo")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
try:
    from importlib import metadata, util
except ImportError:
    sys.exit(4)

def version(*names):
    for name in names:
        try:
            return metadata.version(name)
        except Exception:
            pass
    return None

def place(name):
    try:
        spec = util.find_spec(name)
    except Exception:
        return None
    return spec.origin if spec is not None else None

sdk = place("hailo_sdk_client")
if sdk is None:
    sys.exit(3)
dfc = version("hailo-dataflow-compiler", "hailo_dataflow_compiler")
failure = None
if dfc is None:
    try:
        import hailo_sdk_client
        dfc = str(hailo_sdk_client.__version__)
    except Exception as error:
        failure = "%s: %s" % (type(error).__name__, error)
zoo = place("hailo_model_zoo")
versions = {
    "dfc": dfc,
    "model_zoo": version("hailo-model-zoo", "hailo_model_zoo"),
    "hailort": version("hailort"),
    "python": "%d.%d.%d" % sys.version_info[:3],
}
for name in ("torch", "tensorflow", "numpy", "onnx", "protobuf"):
    versions[name] = version(name)
answer = {
    "python": sys.argv[1],
    "versions": {k: v for k, v in versions.items() if v},
    "zoo": os.path.dirname(zoo) if zoo else None,
    "venv": sys.prefix if sys.prefix != sys.base_prefix else None,
    "path": os.environ.get("PATH"),
    "machine": os.uname().machine,
    "failure": failure,
}
print("\n" + "MARK" + json.dumps(answer), flush=True)
""".replace("MARK", MARK)

GPU_SCRIPT = r"""
import json, os, subprocess, sys
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
answer = {"tensorflow": False, "gpus": [], "why": ""}
try:
    import tensorflow
    answer["tensorflow"] = True
    answer["gpus"] = [one.name for one in tensorflow.config.list_physical_devices("GPU")]
except ImportError:
    answer["why"] = "TensorFlow is not in this image"
except Exception as error:
    answer["why"] = "%s: %s" % (type(error).__name__, error)
try:
    listed = subprocess.run(["nvidia-smi", "-L"], stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, timeout=20)
    answer["cards"] = listed.stdout.decode("utf-8", "replace").split("\n")[:8]
except Exception:
    answer["cards"] = []
print("\n" + "MARK" + json.dumps(answer), flush=True)
""".replace("MARK", MARK)


class NoCompilerError(ArtifactError):
    """An image holds no Dataflow Compiler, or one that does not run."""

    default_code = "toolchain.no-compiler"


@dataclass(frozen=True)
class Inside:
    """What an image said of itself. ``path`` is its search path for programs."""

    python: str
    versions: Mapping[str, str]
    zoo: str | None = None
    venv: str | None = None
    path: str | None = None


def command() -> tuple[str, ...]:
    """Return the program that asks an image."""
    return ("/bin/sh", "-c", SHELL, "probe", SCRIPT)


def gpu_command(python: str) -> tuple[str, ...]:
    """Return the program that looks for GPUs with the image's own Python."""
    return (python, "-c", GPU_SCRIPT)


def read_answer(stdout: str) -> Mapping[str, Any] | None:
    """Return the last answer in what a probe printed, ``None`` without one.

    Libraries print what they like around it.
    """
    found: Mapping[str, Any] | None = None
    for line in stdout.splitlines():
        _, mark, text = line.partition(MARK)
        if not mark:
            continue
        try:
            answer = parse_json(text)
        except ValueError:
            continue
        if isinstance(answer, dict):
            found = answer
    return found


def understand(image: str, stdout: str, stderr: str) -> Inside:
    """Return what an image said, or raise why it is no toolchain."""
    answer = read_answer(stdout)
    if answer is None:
        msg = f"image {escape_control(image)} has no Hailo Dataflow Compiler that can be imported"
        raise NoCompilerError(
            msg + _last_words(stderr),
            hint="Import the AI Software Suite (it holds the compiler), or build an image from\n"
            "your wheels: hef toolchain import --wheels DIR",
        )
    versions = {str(key): str(value) for key, value in dict(answer.get("versions") or {}).items()}
    if not versions.get("dfc"):
        why = escape_control(str(answer.get("failure") or "it tells no version"))
        msg = f"the compiler in image {escape_control(image)} does not start: {why}"
        raise NoCompilerError(
            msg,
            hint="The image may be damaged, or made for another processor.",
        )
    return Inside(
        python=str(answer.get("python") or "python"),
        versions=versions,
        zoo=_text(answer.get("zoo")),
        venv=_text(answer.get("venv")),
        path=_text(answer.get("path")),
    )


def _text(value: object) -> str | None:
    return str(value) if value else None


def _last_words(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return f" ({escape_control(lines[-1][:200])})" if lines else ""
