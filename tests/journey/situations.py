"""Folders in which a screen has something to propose, and what people type in them first."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from tests.integration.main_job.first_hour import MODEL, WAYS, photographs, trained
from tests.journey.proposals import Situation

#: Weights whose tensors fit a class of another file than theirs.
LOADED = "\n\nnet = WasteNet()\nopen('data.csv').read()\n"


class Makers:
    """Lays out folders with one network, trained once on photographs made once."""

    def __init__(self, root: Path) -> None:
        root.mkdir()
        self.photos = photographs(root / "photos", train=12, val=6)
        self.network = trained(self.photos, WAYS[0], epochs=4)

    def pictures(self, folder: Path) -> None:
        """Put the photographs there."""
        shutil.copytree(self.photos, folder / "photos")

    def weights(self, folder: Path) -> None:
        """Photographs, weights and the class."""
        import torch

        self.pictures(folder)
        torch.save(self.network.state_dict(), folder / "waste.pt")
        (folder / "net.py").write_text(MODEL)

    def no_code(self, folder: Path) -> None:
        """Weights alone, twice, of different names."""
        import torch

        for name in ("waste net.pt", "glass.pth"):
            torch.save(self.network.state_dict(), folder / name)

    def whole(self, folder: Path) -> None:
        """A network that was saved whole, of plain layers."""
        import torch
        from torch import nn

        layers = nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        plain = nn.Sequential(*layers, nn.Linear(8, 3))
        torch.save(plain, folder / "whole.pt")

    def onnx(self, folder: Path) -> None:
        """An ONNX file and photographs."""
        import torch

        self.pictures(folder)
        zeros = (torch.zeros(1, 3, 48, 48),)
        torch.onnx.export(
            self.network, zeros, str(folder / "waste.onnx"), dynamo=False, input_names=["image"]
        )

    def broken(self, folder: Path) -> None:
        """A recipe that names a key that there is not, and a project's file that is cut."""
        (folder / "models" / "waste").mkdir(parents=True)
        (folder / "models" / "waste" / "model.yaml").write_text("schema: 1\nsorce: {}\n")
        (folder / "broken.hef").write_bytes(b"\x01HEF\0\0")

    def two(self, folder: Path) -> None:
        """Two models, so that a name is missed."""
        self.weights(folder)
        for name in ("glass", "paper"):
            place = folder / "models" / name
            place.mkdir(parents=True)
            (place / "model.yaml").write_text(
                "schema: 1\nsource: {torch: '../../net.py:WasteNet', weights: ../../waste.pt}\n"
                "inputs: {image: [1, 3, 48, 48]}\npreprocessing: {preset: imagenet}\n"
                "calibration: {source: ../../photos/train}\narch: [hailo8l]\n"
                "postprocess: {task: classification}\n"
            )


def nothing(_folder: Path) -> None:
    """Lay out nothing."""


#: What is typed where there is a model, and where there is none.
EVERYWHERE = (
    "hef", "hef up", "hef report", "hef bundle", "hef validate", "hef ship", "hef bench",
    "hef history", "hef lint", "hef ps", "hef analyze", "hef verify", "hef calib preview",
    "hef cache why", "hef cache info", "hef lock", "hef inspect .", "hef config show",
    "hef device list", "hef device identify", "hef device identify nowhere", "hef device check",
    "hef toolchain list", "hef toolchain check", "hef toolchain use 3.33.0", "hef doctor",
    "hef up missing", "hef up --device nowhere", "hef up --toolchain 3.33.0", "hef logs",
    "hef explain", "hef diff waste~1 waste", "hef tune --help", "hef trust", "hef rollback",
    "hef up --engine nowhere", "hef reproduce", "hef deploy", "hef calib request",
)  # fmt: skip


#: What a proposed command may end in, rightly: what is missing is missing for it, too.
CODE_IS_MISSING = "the code that defines the network is needed too"
MISTAKE = "sorce: unknown key; did you mean source?"
NO_MODEL = "there is no model in"
NO_NETWORK = "no network was found"
NO_PICTURES = "no such file or folder: calib/"
IS_THERE = "is there already"


def situations(makers: Makers, *, long: bool) -> list[Situation]:
    """Return those that cost seconds, or all, of which some build."""
    rows: list[tuple[str, Callable[[Path], None], tuple[str, ...], tuple[str, ...]]] = [
        ("empty", nothing, ("hef", "hef init", "hef up", "hef ps", "hef logs", "hef report",
                            "hef device list", "hef toolchain list"), (NO_NETWORK,)),
        ("broken", makers.broken, ("hef", "hef up", "hef inspect broken.hef"), (MISTAKE,)),
        ("no code", makers.no_code, ("hef", "hef up", "hef inspect glass.pth"),
         (CODE_IS_MISSING,)),
        ("whole", makers.whole, ("hef inspect whole.pt", "hef report"), (NO_PICTURES,)),
    ]  # fmt: skip
    if long:
        some = EVERYWHERE[:20]
        rows += [
            ("empty, all", nothing, (*EVERYWHERE, "hef init"), (NO_NETWORK, NO_MODEL)),
            ("broken, more", makers.broken, some, (MISTAKE,)),
            ("weights", makers.weights, ("hef up", "hef init --yes", *some), (IS_THERE,)),
            ("two", makers.two, some, ()),
            ("onnx", makers.onnx, ("hef init --yes", "hef up", *EVERYWHERE), (IS_THERE,)),
        ]
    return [Situation(*row) for row in rows]
