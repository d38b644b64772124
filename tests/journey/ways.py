"""One network saved in every way, and one of each framework: from ``hef init`` to a verdict."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib import util
from pathlib import Path
from typing import Any

from tests.integration.main_job.first_hour import MODEL, WAYS, arrays, photographs, trained
from tests.journey.walk import Walker

IMAGENET = WAYS[0]
SIGNED = WAYS[2]
#: The verdict's samples are the pictures that we count ourselves; one may fall either way, since
#: libraries resize with other rounding. More than in training may be right: weights alone do not
#: say at which size they were trained, and hef takes the one at which most is.
NEAR = 0.035


@dataclass(frozen=True)
class Result:
    """What came of one file."""

    source: str
    right: float
    device: float
    seconds: float
    edits: int
    wrong: str = ""
    #: Why it was not walked here.
    skipped: str = ""

    @property
    def told(self) -> str:
        """Return what stands beside the figures."""
        return self.skipped or self.wrong or "right"


class Studio:
    """Where networks are trained, once, and saved."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.photos = photographs(root / "photos", val=10)

    @cached_property
    def network(self) -> Any:
        """Return the network of torch; its class can be found by its name in ``net``."""
        path = self.root / "net.py"
        path.write_text(MODEL, encoding="utf-8")
        spec = util.spec_from_file_location("net", path)
        assert spec is not None and spec.loader is not None
        module = util.module_from_spec(spec)
        sys.modules["net"] = module
        spec.loader.exec_module(module)
        twin = module.WasteNet()
        twin.load_state_dict(trained(self.photos, IMAGENET).state_dict())
        return twin.eval()

    @cached_property
    def torch_right(self) -> float:
        """Return the share of held-out pictures that torch itself gets right."""
        import torch

        inputs, truth = arrays(self.photos / "val", IMAGENET, 48)
        with torch.no_grad():
            return float((self.network(torch.from_numpy(inputs)).argmax(1).numpy() == truth).mean())

    @cached_property
    def keras(self) -> tuple[Path, float]:
        """Return the folder with what TensorFlow wrote, and what share it gets right."""
        import numpy as np

        train, labels = arrays(self.photos / "train", SIGNED, 48)
        val, truth = arrays(self.photos / "val", SIGNED, 48)
        folder = self.root / "keras"
        folder.mkdir()
        np.savez(folder / "arrays.npz", train=train, labels=labels, val=val, truth=truth)
        done = subprocess.run(
            [sys.executable, str(Path(__file__).with_name("keras_waste.py")),
             str(folder / "arrays.npz"), str(folder)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(done.stderr[-2000:])
        found = re.search(r"right: ([0-9.]+)", done.stdout)
        assert found is not None
        return folder, float(found[1])


Save = Callable[[Studio, Path], float]


def _torch(save: Callable[[Any, Path], None], *, code: bool = True) -> Save:
    def write(studio: Studio, folder: Path) -> float:
        save(studio.network, folder)
        if code:
            (folder / "net.py").write_text(MODEL, encoding="utf-8")
        return studio.torch_right

    return write


def _keras(name: str) -> Save:
    def write(studio: Studio, folder: Path) -> float:
        place, right = studio.keras
        copy = shutil.copytree if (place / name).is_dir() else shutil.copy
        copy(place / name, folder / name)
        return right

    return write


def _state(net: Any, folder: Path) -> None:
    import torch

    torch.save(net.state_dict(), folder / "waste.pt")


def _checkpoint(net: Any, folder: Path) -> None:
    import torch

    state = {f"module.{name}": value for name, value in net.state_dict().items()}
    torch.save({"epoch": 14, "model_state_dict": state, "best": 0.9}, folder / "waste.pth")


def _whole(net: Any, folder: Path) -> None:
    import torch

    torch.save(net, folder / "waste.pt")


def _script(net: Any, folder: Path) -> None:
    import torch

    torch.jit.trace(net, torch.zeros(1, 3, 48, 48)).save(str(folder / "waste.pt"))


def _safetensors(net: Any, folder: Path) -> None:
    from safetensors.torch import save_file

    save_file(net.state_dict(), str(folder / "waste.safetensors"))


def _onnx(net: Any, folder: Path) -> None:
    import torch

    torch.onnx.export(
        net, (torch.zeros(1, 3, 48, 48),), str(folder / "waste.onnx"), dynamo=False,
        input_names=["image"],
    )  # fmt: skip


OF_TENSORFLOW: dict[str, Save] = {
    "TFLite": _keras("waste.tflite"),
    "Keras": _keras("waste.keras"),
    "SavedModel": _keras("waste_saved"),
}
#: What a person has, and how it came about. Of the whole pickle ``hef`` is told that it is trusted.
SOURCES: dict[str, Save] = {
    "PyTorch: state_dict": _torch(_state),
    "PyTorch: checkpoint, module.": _torch(_checkpoint),
    "PyTorch: whole pickle, trusted": _torch(_whole),
    "PyTorch: TorchScript": _torch(_script, code=False),
    "PyTorch: safetensors": _torch(_safetensors),
    "ONNX": _torch(_onnx, code=False),
    **OF_TENSORFLOW,
}


#: A TorchScript file is a program, which only Docker's box runs.
BOXED = frozenset({"PyTorch: TorchScript"})


def _missing(source: str) -> str:
    if source in BOXED and not docker_answers():
        return "a TorchScript file is a program, and no Docker engine is here to box it"
    if source in OF_TENSORFLOW and util.find_spec("tensorflow") is None:
        return "TensorFlow is not installed here"
    return ""


def docker_answers() -> bool:
    """Tell whether a Docker engine is here."""
    if shutil.which("docker") is None:
        return False
    asked = subprocess.run(["docker", "info"], capture_output=True, check=False)
    return asked.returncode == 0


def walk_source(source: str, studio: Studio, root: Path, *, engine: str = "local") -> Result:
    """Walk from a file to its verdict in a clean home, and hold it against the framework itself."""
    if missing := _missing(source):
        return Result(source, 0.0, 0.0, 0.0, 0, skipped=missing)
    engine = "docker" if source in BOXED else engine
    home, folder = root / "home", root / "waste"
    home.mkdir(parents=True)
    folder.mkdir()
    shutil.copytree(studio.photos, folder / "photos")
    right = SOURCES[source](studio, folder)
    walker = Walker(home, folder)
    init = walker.type("hef init --yes", HEFSMITH_ENGINE=engine)
    if init.code:
        return _result(source, walker, right, 0.0, f"hef init: {init.err.strip()[-600:]}")
    up = walker.type("hef up --json", HEFSMITH_ENGINE=engine)
    if up.code:
        return _result(source, walker, right, 0.0, f"hef up: {up.err.strip()[-600:]}")
    verdict = json.loads(up.out)["proof"]["verdict"]
    steps = {one["step"]: one["measures"] for one in verdict["steps"]}
    device = float(steps["device"].get("top1") or 0)
    first = float(next(iter(steps.values())).get("top1") or 0)
    wrong = ""
    if not verdict["passed"]:
        wrong = f"not passed: {verdict['headline']}"
    elif right - first > NEAR or abs(device - first) > NEAR:
        wrong = f"the framework is right on {right:.1%}, hef says {first:.1%}, device {device:.1%}"
    return _result(source, walker, right, device, wrong)


def _result(source: str, walker: Walker, right: float, device: float, wrong: str) -> Result:
    seconds = sum(step.seconds for step in walker.steps)
    return Result(source, right, device, seconds, walker.edits, wrong)
