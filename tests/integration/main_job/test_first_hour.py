"""The first hour: from a folder with photographs and a checkpoint to a verdict, nothing edited."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.journey.normalisations import find, is_found

from .conftest import Project
from .first_hour import MODEL, WAYS, photographs, trained

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

IMAGENET = WAYS[0]
#: A training script that reads its data and trains when it is imported, as many do.
TRAINING = (
    MODEL.replace("from torch import nn", "import os\nimport torch\nfrom torch import nn")
    + """

MEAN = [0.485, 0.456, 0.406]
STD = [0.229, 0.224, 0.225]
CLASSES = sorted(os.listdir("/nowhere/photos/train"))


def load(path):
    picture = Image.open(path).convert("RGB").resize((48, 48))
    return (np.asarray(picture) / 255 - MEAN) / STD


model = WasteNet(classes=len(CLASSES))
for epoch in range(14):
    ...
torch.save(model.state_dict(), "waste.pt")
"""
)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photographs(tmp_path_factory.mktemp("first-hour") / "photos")


@pytest.fixture(scope="session")
def network(photos: Path) -> Any:
    return trained(photos, IMAGENET)


def maker(project: Project, photos: Path, script: str = TRAINING) -> Project:
    shutil.copytree(photos, project.root / "photos")
    (project.root / "train.py").write_text(script)
    return project


def init(project: Project, *more: str) -> dict[str, Any]:
    done = project.hef("init", "--json", "--engine", "local", *more)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["signed", "unit-bgr", "unit-gray"])
def test_preprocessing_is_found_by_what_the_network_gets_right(
    name: str, photos: Path, tmp_path: Path
) -> None:
    """Nothing but weights, the network's class and photographs; all ten: tests.journey --long."""
    assert len(WAYS) == 10
    way = next(one for one in WAYS if one.name == name)
    found = find(way, photos, tmp_path)
    assert any("labelled pictures are right" in one for one in found["found"])
    assert is_found(found, way), found["preprocessing"]


@pytest.mark.timeout(600)
def test_one_network_gets_one_recipe_however_it_is_saved(
    photos: Path, network: Any, new_project: Callable[[str], Project]
) -> None:
    from safetensors.torch import save_file

    state = network.state_dict()
    saved: dict[str, Callable[[Path], None]] = {
        "waste.pt": lambda path: torch.save(state, path),
        "waste.pth": lambda path: torch.save({"epoch": 9, "model_state_dict": state}, path),
        "waste.ckpt": lambda path: torch.save({f"module.{k}": v for k, v in state.items()}, path),
        "waste.safetensors": lambda path: save_file(state, str(path)),
        "waste.onnx": lambda path: torch.onnx.export(
            network, (torch.zeros(1, 3, 48, 48),), str(path), dynamo=False, input_names=["image"]
        ),
    }
    project = maker(new_project("ways"), photos)
    recipes = {}
    for name, save in saved.items():
        save(project.root / name)
        found = init(project, "--force")
        text = (project.root / "models/waste/model.yaml").read_text()
        recipes[name] = (
            found["preprocessing"],
            found["head"]["task"],
            text.partition("inputs:")[2],
        )
        (project.root / name).unlink()
    first = recipes["waste.pt"]
    assert first[0] == {
        "size": [48, 48],
        "resize": "stretch",
        "preset": "imagenet",
        "color": "rgb",
        "normalize": "chip",
    }
    assert {name: one[:2] for name, one in recipes.items()} == dict.fromkeys(recipes, first[:2])


def test_without_a_terminal_nothing_is_waited_for(new_project: Callable[[str], Project]) -> None:
    project = new_project("empty")
    done = project.hef("init")
    assert done.returncode == 2
    assert "no network was found" in done.stderr
    assert "hef up digits" in done.stderr


def test_weights_without_code_say_which_class_is_missing(
    network: Any, new_project: Callable[[str], Project]
) -> None:
    project = new_project("alone")
    torch.save(network.state_dict(), project.root / "waste.pt")
    done = project.hef("init", "--no-run")
    assert done.returncode == 2
    assert "classifier, features, stem" in done.stderr
    (project.root / "net.py").write_text(MODEL)
    done = project.hef("init", "--no-run")
    assert done.returncode == 0, done.stderr


def test_inputs_that_are_no_pictures_get_their_arrays(
    new_project: Callable[[str], Project],
) -> None:
    import numpy as np

    class Both(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.signal = torch.nn.Conv2d(2, 4, (1, 3))
            self.head = torch.nn.Linear(4 + 5, 3)

        def forward(self, signal: Any, facts: Any) -> Any:
            return self.head(torch.cat([self.signal(signal).mean((2, 3)), facts], 1))

    project = new_project("arrays")
    torch.onnx.export(
        Both(),
        (torch.zeros(1, 2, 1, 64), torch.zeros(1, 5)),
        str(project.root / "both.onnx"),
        dynamo=False,
        input_names=["signal", "facts"],
    )
    np.save(project.root / "signals.npy", np.random.rand(40, 1, 64, 2).astype(np.float32))
    np.save(project.root / "facts.npy", np.random.rand(40, 5).astype(np.float32))
    found = init(project)
    assert {key: one["color"] for key, one in found["preprocessing"].items()} == {
        "signal": "data",
        "facts": "data",
    }
    done = project.hef("up", "both", "--engine", "local", "--json")
    assert done.returncode == 0, done.stderr


@pytest.mark.timeout(300)
def test_an_onnx_file_with_its_weights_beside_it_that_scales_its_pixels_itself(
    new_project: Callable[[str], Project],
) -> None:
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    project = new_project("beside")
    weights = np.linspace(-1, 1, 8 * 3 * 9, dtype=np.float32).reshape(8, 3, 3, 3)
    nodes = [
        helper.make_node("Div", ["image", "full"], ["scaled"], "scale"),
        helper.make_node("Conv", ["scaled", "w"], ["out"], "conv", kernel_shape=[3, 3]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 32, 32])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 8, 30, 30])
    full = numpy_helper.from_array(np.array(255, np.float32), "full")
    constants = [numpy_helper.from_array(weights, "w"), full]
    graph = helper.make_graph(nodes, "g", [image], [out], constants)
    opset = [helper.make_opsetid("", 13)]
    onnx.save(
        helper.make_model(graph, opset_imports=opset, ir_version=8),
        project.root / "beside.onnx",
        save_as_external_data=True,
        location="beside.onnx.data",
        size_threshold=0,
    )
    assert (project.root / "beside.onnx.data").is_file()
    found = init(project)
    assert found["preprocessing"]["normalize"] == "none"
    assert any("divides its input by 255" in one for one in found["found"])

    # Weights in a folder of their own: told of the network, not of a recipe that nobody knows.
    (project.root / "weights").mkdir()
    onnx.save(
        helper.make_model(graph, opset_imports=opset, ir_version=8),
        project.root / "beside.onnx",
        save_as_external_data=True,
        location="weights/beside.bin",
        size_threshold=0,
    )
    done = project.hef("init", "again", "--engine", "local")
    assert done.returncode == 2
    assert "error: beside.onnx keeps weights in a file that is not beside it" in done.stderr
    assert "model.yaml" not in done.stderr


@pytest.mark.timeout(300)
def test_a_size_that_is_guessed_is_told(
    network: Any, new_project: Callable[[str], Project]
) -> None:
    project = new_project("any-size")
    torch.onnx.export(
        network, (torch.zeros(1, 3, 48, 48),), str(project.root / "any.onnx"), dynamo=False,
        input_names=["image"], dynamic_axes={"image": {2: "h", 3: "w"}},
    )  # fmt: skip
    assert any(
        "image takes any size, and 224 x 224 is a guess" in one for one in init(project)["notes"]
    )
    told = init(project, "--size", "3,48,48", "--force")["notes"]
    assert not any("takes any size" in one for one in told)


@pytest.mark.timeout(300)
def test_a_network_is_ended_where_the_compiler_takes_no_more(
    new_project: Callable[[str], Project],
) -> None:
    # Embeddings of faces are divided by their length, with an operator that no parser has.
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, 2), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(), torch.nn.Linear(8, 16),
    )  # fmt: skip

    class Faces(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = network

        def forward(self, image: Any) -> Any:
            return torch.nn.functional.normalize(self.body(image))

    project = new_project("faces")
    path = str(project.root / "faces.onnx")
    zeros = (torch.zeros(1, 3, 48, 48),)
    torch.onnx.export(Faces().eval(), zeros, path, dynamo=False, input_names=["image"])
    found = init(project, "faces.onnx")
    recipe = (project.root / "models/faces/model.yaml").read_text()
    (ends,) = [line for line in recipe.splitlines() if "end_nodes:" in line]
    assert "Gemm" in ends
    assert "," not in ends, "what follows from it is no end of its own"
    assert any("runs on the host" in one for one in found["found"])
    done = project.hef("lint", "faces")
    assert "error" not in done.stdout, done.stdout


@pytest.mark.timeout(300)
def test_init_of_torchscript_writes_a_recipe(
    network: Any, new_project: Callable[[str], Project]
) -> None:
    """A program, which no box of the local engine runs: the recipe says so and is there."""
    project = new_project("script")
    torch.jit.trace(network, torch.zeros(1, 3, 48, 48)).save(str(project.root / "waste.pt"))
    init(project, "--size", "3,48,48")
    assert "weights: ../../waste.pt" in (project.root / "models/waste/model.yaml").read_text()


PLATES = """\
import torch
from torch import nn


class Plates(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        self.head = nn.Linear(width * 12 * 47, 8)

    def forward(self, x):
        return self.head(self.body(x).flatten(1))


def large():
    return Plates(12)


def small():
    return Plates(6)
"""


@pytest.mark.timeout(300)
def test_plates_of_an_odd_size_and_a_network_in_several_sizes(
    new_project: Callable[[str], Project],
) -> None:
    """So LPRNet has it: pictures of 94 x 24, which the code states width first."""
    from PIL import Image

    project = new_project("plates")
    (project.root / "plates.py").write_text(PLATES)
    (project.root / "train.py").write_text(
        "import cv2\nfrom plates import small, large\nSIZE = [94, 24]\n\n\ndef load(file):\n"
        "    image = cv2.resize(cv2.imread(file), SIZE).astype('float32')\n"
        "    image -= 127.5\n    image *= 0.0078125\n    return image\n"
    )
    namespace: dict[str, Any] = {}
    exec(PLATES, namespace)
    torch.save(namespace["small"]().state_dict(), project.root / "plates.pth")
    (project.root / "crops").mkdir()
    for number in range(8):
        Image.new("RGB", (94, 24), (number * 20, 90, 40)).save(
            project.root / "crops" / f"{number}.png"
        )
    made = init(project)
    recipe = (project.root / "models" / "plates" / "model.yaml").read_text()
    assert "plates.py:small" in recipe, made
    assert "[1, 3, 24, 94]" in recipe
    for line in ("mean: [127.5]", "std: [128]", "color: bgr"):
        assert line in recipe
