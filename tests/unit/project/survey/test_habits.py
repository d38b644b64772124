"""How people save networks and lay out pictures: what a tool or a habit adds is no hurdle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.inspect.source_files import ending_of, is_source
from orchestrator.project.picture_folder import look
from orchestrator.project.survey.code import read_script
from orchestrator.project.survey.factory import find_factories
from orchestrator.project.survey.folder import look_around, model_name
from orchestrator.project.survey.pictures import show
from orchestrator.project.survey.weights import Weights, read_weights

torch = pytest.importorskip("torch")

NET = """\
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, classes=5):
        super().__init__()
        self.body = nn.Conv2d(3, 4, 3)
        self.head = nn.Linear(4, classes)

    def forward(self, x):
        return self.head(self.body(x).mean((2, 3)))
"""
WRAPPER = """

class Lit(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.model = Net()

    def forward(self, x):
        return self.model({given})
"""
STATE = {
    "body.weight": torch.zeros(4, 3, 3, 3), "body.bias": torch.zeros(4),
    "head.weight": torch.zeros(5, 4), "head.bias": torch.zeros(5),
}  # fmt: skip
RUNNING = {"norm.running_mean": torch.zeros(4)}


def prefixed(prefix: str, state: dict = STATE) -> dict:
    return {f"{prefix}{name}": value for name, value in state.items()}


@pytest.mark.parametrize(
    ("saved", "key"),
    [
        ({"state_dict": prefixed("module._orig_mod.")}, "state_dict"),
        ({"model": prefixed("_orig_mod.module.")}, "model"),
        ({"model": STATE, "model_ema": prefixed("module.")}, "model_ema"),
        ({"model": STATE, "ema": {"module": STATE, "updates": 9}}, "ema.module"),
        ({"epoch": 3, "model": {"state_dict": STATE}}, "model.state_dict"),
        ({"swa": 1, "net": {"n_averaged": torch.tensor(3), **prefixed("module.")}}, "net"),
        # A word of somebody's own, beside what an optimiser keeps.
        ({"net_dict": STATE, "acc": 0.9, "opt": {"state": {0: {"step": 3}}}}, "net_dict"),
        ({"critic": {"f.weight": torch.zeros(3)}, "generator": STATE}, "generator"),
        # Averaged weights that lack what the network needs are no network.
        ({"model": {**STATE, **RUNNING}, "ema": STATE}, "model"),
    ],
)
def test_weights_are_found_in_what_training_tools_save(
    saved: dict, key: str, tmp_path: Path
) -> None:
    from hefsmith_worker.stages import checkpoint, torch_source

    path = tmp_path / "last.pth.tar"
    torch.save(saved, path)
    found = read_weights(path)
    wanted = {**STATE, **RUNNING} if key == "model" and "ema" in saved else STATE
    assert dict(found.shapes) == {name: tuple(one.shape) for name, one in wanted.items()}
    assert found.key == key
    # The export takes the same tensors by the same names.
    assert set(torch_source._named_as(wanted, saved)) == set(wanted)
    assert checkpoint.find_state(saved, torch.is_tensor, lambda _: False)[0] == key


@pytest.mark.parametrize("given", ["x", "x / 255"])
def test_a_wrapper_of_a_training_tool_is_left_out_where_it_only_hands_on(
    given: str, tmp_path: Path
) -> None:
    path = tmp_path / "lit.py"
    path.write_text("import pytorch_lightning as pl\n" + NET + WRAPPER.format(given=given))
    script = read_script(path)
    shapes = {f"model.{name}": tuple(one.shape) for name, one in STATE.items()}
    found = find_factories([script], Weights(shapes), {})
    only = given == "x"
    assert found[0].name == ("Net" if only else "Lit")
    assert ("pytorch-lightning" in "".join(found[0].packages).replace("_", "-")) is not only
    if only:
        assert [one.name for one in found] == ["Net"], "nothing is asked"
        assert found[0].file is not None
        assert "LightningModule" not in found[0].file.text


def test_the_network_below_a_name_is_found_without_its_wrapper(tmp_path: Path) -> None:
    from hefsmith_worker.stages import torch_source

    (tmp_path / "net.py").write_text(NET)
    shapes = {f"backbone.{name}": tuple(one.shape) for name, one in STATE.items()}
    script = read_script(tmp_path / "net.py")
    assert [one.name for one in find_factories([script], Weights(shapes), {})] == ["Net"]
    assert set(torch_source._named_as(STATE, prefixed("backbone."))) == set(STATE)
    # What does not fit at all keeps its names, for the message.
    assert set(torch_source._named_as({"other": 1}, prefixed("a."))) == set(prefixed("a."))


def test_a_function_that_never_makes_the_network_is_no_choice(tmp_path: Path) -> None:
    made = "\n\ndef get_args():\n    return 1\n\n\ndef build():\n    return Net(5)\n"
    (tmp_path / "net.py").write_text(NET + made)
    shapes = {name: tuple(one.shape) for name, one in STATE.items()}
    script = read_script(tmp_path / "net.py")
    assert [one.name for one in find_factories([script], Weights(shapes), {})] == ["Net", "build"]


def notebook(path: Path, *cells: str, kind: str = "code") -> Path:
    listed = [{"cell_type": "markdown", "source": ["# title"]}]
    listed += [{"cell_type": kind, "source": one.splitlines(keepends=True)} for one in cells]
    path.write_text(json.dumps({"cells": listed, "nbformat": 4}))
    return path


def test_a_class_in_a_notebook_goes_into_a_file(tmp_path: Path) -> None:
    path = notebook(
        tmp_path / "train.ipynb", "!pip install torch\n%matplotlib inline\nimport torch", NET,
        "%%bash\nls -l", "model = Net(", "if True:\n    !ls\nmodel = Net(5).cuda()",
    )  # fmt: skip
    script = read_script(path)
    assert script is not None
    shapes = {name: tuple(one.shape) for name, one in STATE.items()}
    (found,) = find_factories([script], Weights(shapes), {})
    assert found.file is not None, "a notebook cannot be imported"
    compile(found.file.text, "network.py", "exec")
    assert "class Net(nn.Module)" in found.file.text
    assert script.place(found.lines[0]) == "cell 3"
    assert look_around(tmp_path).scripts == (path,)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"cells": 3}', '{"cells": [1]}', "\xff"])
def test_what_is_called_a_notebook_and_is_none(content: str, tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    path.write_bytes(content.encode("latin-1"))
    assert read_script(path) is None


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("model_best.pth.tar", "waste"),
        ("lightning_logs/version_0/checkpoints/epoch=2-step=99.ckpt", "waste"),
        ("epoch=12-val_loss=0.31.ckpt", "waste"),
        ("checkpoint-500/model.safetensors", "waste"),
        ("my-model/model.safetensors", "my-model"),
        ("papelão.onnx", "papelao"),
        ("aux.onnx", "waste"),
        ("checkpoints/resnet_best.pth.tar", "resnet"),
    ],
)
def test_names_of_runs_are_no_names_of_models(file: str, name: str, tmp_path: Path) -> None:
    root = tmp_path / "waste"
    path = root / file
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    assert model_name(path, root) == name
    assert [one.path for one in look_around(root).networks if path.suffix != ".onnx"] == [path] * (
        path.suffix != ".onnx"
    )
    assert is_source(path) or path.suffix == ".onnx"


def test_an_archive_is_no_network(tmp_path: Path) -> None:
    (tmp_path / "photos.tar").write_bytes(b"x")
    assert [ending_of(Path(one)) for one in ("a.tar", "a.PTH.TAR", ".tar", "a.tar.gz")] == [
        "", ".pth", "", ".gz",
    ]  # fmt: skip
    assert look_around(tmp_path).networks == ()


def test_a_users_own_folder_of_models_is_looked_at_and_recipes_are_not(tmp_path: Path) -> None:
    models = tmp_path / "models"
    for name in ("mine", "old"):
        (models / name).mkdir(parents=True)
        (models / name / "network.py").write_text(NET)
    (models / "old" / "model.yaml").write_text("schema: 1\n")
    (models / "best.pth").write_bytes(b"")
    found = look_around(tmp_path, recipes=models)
    assert found.scripts == (models / "mine" / "network.py",)
    assert [one.path for one in found.networks] == [models / "best.pth"]


def pictures(folder: Path, *names: str, count: int = 12) -> None:
    for name in names:
        (folder / name).mkdir(parents=True)
        for number in range(count):
            (folder / name / f"{number}.jpg").write_bytes(b"")


@pytest.mark.parametrize(
    ("trained", "held_out"),
    [("treino", "teste"), ("Treinamento", "Validação"), ("train_set", "test_set"),
     ("entraînement", "validation"), ("training", "dev")],
)  # fmt: skip
def test_parts_are_known_by_names_of_several_languages(
    trained: str, held_out: str, tmp_path: Path
) -> None:
    for part in (trained, held_out):
        pictures(tmp_path / "fotos" / part, "vidro (verde)", "Papelão", "l'ixo")
    (found,) = look_around(tmp_path).pictures
    shown = show(found)
    assert shown.calibration == tmp_path / "fotos" / trained
    assert shown.held_out == tmp_path / "fotos" / held_out
    assert shown.folders == ("Papelão", "l'ixo", "vidro (verde)")


def test_a_class_may_be_called_like_a_part(tmp_path: Path) -> None:
    pictures(tmp_path / "vehicles", "bus", "car", "train")
    assert look(tmp_path / "vehicles").classes == ("bus", "car", "train")
    assert look(tmp_path / "vehicles").calibration == tmp_path / "vehicles"
    pictures(tmp_path / "plain", "train", "val")
    seen = look(tmp_path / "plain")
    assert (seen.calibration.name, seen.held_out.name, seen.classes) == ("train", "val", ())


def test_a_table_of_validation_parts_the_pictures(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    rows = {"train": [], "val": []}
    for number in range(40):
        name = f"{number:02}.jpg"
        (tmp_path / "images" / name).write_bytes(b"")
        rows["val" if number % 4 == 0 else "train"].append(f"{name},{'ab'[number % 2]}\r\n")
    tables = []
    for part, lines in rows.items():
        tables.append(tmp_path / f"{part}_labels.csv")
        tables[-1].write_bytes(("file,label\r\n" + "".join(lines)).encode())
    # Every second number of the held-out ones is even: one class; it is the table's to say.
    extra = "01.jpg,b\r\n"
    tables[1].write_bytes(tables[1].read_bytes() + extra.encode())
    shown = show(look_around(tmp_path).pictures[0], tables)
    held_out, rest = shown.split
    assert len(held_out) == 11
    assert {name for name, _ in held_out} & {name for name, _ in rest} == set()
    assert len(rest) == 29
    assert (shown.told_by, shown.parted) == ("train_labels.csv", "val_labels.csv")
    assert shown.folders == ("a", "b")


@pytest.mark.parametrize(
    ("name", "inside", "wanted"),
    [("data.zip", "a/1.JPG", True), ("code.zip", "a/net.py", False), ("data.tar.gz", "", True)],
)
def test_pictures_in_an_archive_are_told_of(
    name: str, inside: str, wanted: bool, tmp_path: Path
) -> None:
    import zipfile

    from orchestrator.project.survey.pictures import holds_pictures

    path = tmp_path / name
    path.write_bytes(b"cut")
    assert holds_pictures(path) is not name.endswith(".zip")
    if inside:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(inside, b"")
    assert look_around(tmp_path).packed == (path,)
    assert holds_pictures(path) is wanted


def test_the_demos_pictures_are_not_taken_for_the_users(tmp_path: Path) -> None:
    pictures(tmp_path / "calib" / "digits", "0", "1", "2", count=40)
    pictures(tmp_path / "photos", "a", "b")
    found = look_around(tmp_path, skipping=(tmp_path / "calib" / "digits",))
    assert [one.path.name for one in found.pictures] == ["photos"]


def test_pictures_of_a_readme_are_nobodys_and_folders_of_pictures_no_classes(
    tmp_path: Path,
) -> None:
    pictures(tmp_path, "imgs", "readme_imgs", "sea")
    pictures(tmp_path / "docs", "a", "b")
    found = look_around(tmp_path)
    assert [(one.kind, one.path.name) for one in found.pictures] == [
        ("pictures", "imgs"),
        ("pictures", "sea"),
    ]


def test_of_networks_alike_the_one_that_the_training_makes_goes_first(tmp_path: Path) -> None:
    """A library of networks with layers of the same names: pytorch-cifar has twenty."""
    other = NET.replace("class Net", "class Alpha").replace(
        "nn.Conv2d(3, 4, 3)", "nn.Conv2d(3, 4, 5)"
    )
    (tmp_path / "alpha.py").write_text(other)
    (tmp_path / "net.py").write_text(NET)
    (tmp_path / "train.py").write_text(
        "from net import Net\nfrom alpha import Alpha\n# net = Alpha()\nnet = Net(5)\n"
        "def compare():\n    return Alpha()\n"
    )
    scripts = [one for path in sorted(tmp_path.glob("*.py")) if (one := read_script(path))]
    torch.save({"net": prefixed("module."), "acc": 93.2}, tmp_path / "ckpt.pth")
    weights = read_weights(tmp_path / "ckpt.pth")
    assert find_factories(scripts, weights, {})[0].name == "Net"


def test_a_network_whose_pytorch_comes_by_a_star_is_one(tmp_path: Path) -> None:
    """So the best known U-Net has it; the function that reads its options was taken instead."""
    (tmp_path / "parts.py").write_text("import torch\nfrom torch import nn\n")
    body = NET.replace("import torch\nfrom torch import nn\n", "from .parts import *\n")
    (tmp_path / "net.py").write_text(body)
    (tmp_path / "predict.py").write_text(
        "import argparse\ndef get_args():\n    return argparse.ArgumentParser().parse_args()\n"
    )
    scripts = [one for path in sorted(tmp_path.glob("*.py")) if (one := read_script(path))]
    torch.save({**STATE, "mask_values": [0, 1]}, tmp_path / "ckpt.pth")
    found = find_factories(scripts, read_weights(tmp_path / "ckpt.pth"), {})
    assert [one.name for one in found] == ["Net"]


def test_functions_that_make_a_network_in_several_sizes_are_all_found(tmp_path: Path) -> None:
    sizes = (
        "def small(**more):\n    return Net(5, **more)\n\n\n"
        "def large():\n    net = Net(7)\n    return net\n"
    )
    (tmp_path / "net.py").write_text(f"{NET}\n\n{sizes}")
    scripts = [one for one in [read_script(tmp_path / "net.py")] if one is not None]
    torch.save(STATE, tmp_path / "ckpt.pth")
    found = find_factories(scripts, read_weights(tmp_path / "ckpt.pth"), {})
    assert {one.name for one in found} == {"Net", "small", "large"}


def test_code_of_another_framework_builds_no_network_of_pytorch(tmp_path: Path) -> None:
    (tmp_path / "a_port.py").write_text(
        "import megengine as mge\nfrom net import Net\ndef build_net():\n    return Net(5)\n"
    )
    (tmp_path / "net.py").write_text(NET)
    read = [read_script(tmp_path / name) for name in ("a_port.py", "net.py")]
    torch.save(STATE, tmp_path / "ckpt.pth")
    weights = read_weights(tmp_path / "ckpt.pth")
    found = find_factories([one for one in read if one is not None], weights, {})
    assert [one.name for one in found] == ["Net"]


@pytest.mark.parametrize(
    ("default", "given"),
    [("", {"pretrained": False}), ("=True", {"pretrained": False}), ("=None", {}), ("=False", {})],
)
def test_what_fetches_weights_is_off_since_the_own_ones_replace_them(
    default: str, given: dict[str, bool], tmp_path: Path
) -> None:
    after = "classes=5" if default else "classes"
    net = NET.replace("classes=5", f"{after}, pretrained{default}")
    (tmp_path / "net.py").write_text(f"{net}\nif __name__ == '__main__':\n    Net(5, 'faces')\n")
    torch.save(STATE, tmp_path / "ckpt.pth")
    scripts = [one for one in [read_script(tmp_path / "net.py")] if one is not None]
    (found,) = find_factories(scripts, read_weights(tmp_path / "ckpt.pth"), {})
    assert {key: one for key, one in found.kwargs.items() if key == "pretrained"} == given
    assert not found.missing


def test_packages_that_the_network_does_not_need_keep_no_script_from_being_used(
    tmp_path: Path,
) -> None:
    (tmp_path / "net.py").write_text(f"import absent_kit\n{NET}\ndef draw():\n    absent_kit.x()\n")
    torch.save(STATE, tmp_path / "ckpt.pth")
    scripts = [one for one in [read_script(tmp_path / "net.py")] if one is not None]
    found = find_factories(scripts, read_weights(tmp_path / "ckpt.pth"), {})
    assert (found[0].name, found[0].file, found[0].packages) == ("Net", None, ())
