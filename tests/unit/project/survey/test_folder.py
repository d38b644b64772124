"""What lies in a folder, and what a checkpoint shows without PyTorch."""

from __future__ import annotations

import argparse
from collections import OrderedDict
from pathlib import Path

import pytest

from orchestrator.project.survey.arrays import arrays_for
from orchestrator.project.survey.folder import look_around, model_name
from orchestrator.project.survey.pictures import labels_for, show, to_try
from orchestrator.project.survey.weights import read_weights

torch = pytest.importorskip("torch")
np = pytest.importorskip("numpy")


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = torch.nn.Conv2d(3, 4, 3)
        self.head = torch.nn.Linear(4, 5)

    def forward(self, x):
        return self.head(self.body(x).mean((2, 3)))


SHAPES = {
    "body.weight": (4, 3, 3, 3),
    "body.bias": (4,),
    "head.weight": (5, 4),
    "head.bias": (5,),
}


def save(kind: str, folder: Path) -> Path:
    net = Net()
    state = net.state_dict()
    path = folder / f"{kind}.pt"
    if kind == "safetensors":
        pytest.importorskip("safetensors")
        from safetensors.torch import save_file

        path = folder / "net.safetensors"
        save_file(state, str(path))
    elif kind == "torchscript":
        torch.jit.trace(net, torch.zeros(1, 3, 8, 8)).save(str(path))
    elif kind == "old":
        torch.save(state, path, _use_new_zipfile_serialization=False)
    else:
        saved = {
            "state": state,
            "wrapped": OrderedDict((f"module.{name}", one) for name, one in state.items()),
            "dict": {
                "epoch": 3,
                "model_state_dict": state,
                "classes": list("abcde"),
                "args": argparse.Namespace(img_size=96, mean=[0.5, 0.5, 0.5]),
            },
            "whole": net,
        }[kind]
        torch.save(saved, path)
    return path


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "kind", ["state", "wrapped", "dict", "whole", "safetensors", "torchscript", "old"]
)
def test_each_way_of_saving_shows_the_same_tensors(kind: str, tmp_path: Path) -> None:
    found = read_weights(save(kind, tmp_path))
    assert dict(found.shapes) == SHAPES
    assert (found.channels, found.classes_out, found.roots) == (3, 5, {"body", "head"})
    if kind == "whole":
        assert found.classes[0].endswith(".Net")
    if kind == "dict":
        assert found.facts["classes"] == list("abcde")
        assert found.facts["args.img_size"] == 96


def test_a_pickle_that_would_run_something_runs_nothing(tmp_path: Path) -> None:
    import os
    import pickle

    class Bad:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "made"),)

    torch.save({"state_dict": {}, "x": Bad()}, tmp_path / "bad.pt")
    (tmp_path / "bad2.pt").write_bytes(pickle.dumps(Bad(), protocol=2))
    assert not read_weights(tmp_path / "bad.pt").shapes
    assert not read_weights(tmp_path / "bad2.pt").shapes
    assert not (tmp_path / "made").exists()


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\xff\xd8\xff")


def test_a_folder_is_looked_through(tmp_path: Path) -> None:
    for part in ("train", "val"):
        for name in ("cat", "dog"):
            for number in range(3):
                picture(tmp_path / "photos" / part / name / f"{number}.jpg")
    (tmp_path / "runs" / "weights").mkdir(parents=True)
    save("state", tmp_path / "runs" / "weights")
    (tmp_path / "data.yaml").write_text("train: a\nval: photos/val\nnames: [x, y]\n")
    (tmp_path / "coco.yaml").write_text("path: ../coco\ntrain: a\nval: b\nnames: [x, y]\n")
    (tmp_path / "train.py").write_text("pass\n")
    picture(tmp_path / ".venv" / "lib" / "a.jpg")
    picture(tmp_path / "artifacts" / "a" / "b.jpg")
    found = look_around(tmp_path)
    assert [one.path.name for one in found.networks] == ["state.pt"]
    kinds = [(one.kind, one.path.name, one.count) for one in found.pictures]
    assert ("classes", "photos", 12) in kinds
    assert ("yolo", "data.yaml", 0) in kinds
    assert len(kinds) == 2
    shown = show(next(one for one in found.pictures if one.kind == "classes"))
    assert shown.folders == ("cat", "dog")
    assert shown.held_out == tmp_path / "photos" / "val"
    tried = to_try(shown, ("dog", "cat"))
    assert {(path.parent.name, number) for path, number in tried} == {("cat", 1), ("dog", 0)}


def test_class_folders_without_a_held_out_part_get_one(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        for number in range(10):
            picture(tmp_path / name / f"{number}.jpg")
    shown = show(look_around(tmp_path).pictures[0])
    assert shown.split is not None
    held_out, rest = shown.split
    assert len(held_out) == 4
    assert not set(held_out) & set(rest)
    assert len(rest) == 16


def test_labels_that_somebody_wrote_decide_the_order_of_the_folders(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        picture(tmp_path / "p" / name / "0.jpg")
    shown = show(look_around(tmp_path).pictures[0])
    found = labels_for(shown, 2, facts={"class_to_idx": {"dog": 0, "cat": 1}}, scripts=(), files=())
    assert found.names == ("dog", "cat")
    assert labels_for(shown, 2, facts={}, scripts=(), files=()).names == ("cat", "dog")
    assert labels_for(shown, 1000, facts={}, scripts=(), files=()).names == ()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("waste.pth", "waste"),
        ("waste_state.pt", "waste"),
        ("garage/best.pt", "garage"),
        ("runs/best.pt", "project"),
        ("best.pt", "project"),
        ("my net v2.onnx", "my-net-v2"),
    ],
)
def test_a_model_is_called_as_its_file_or_its_folder(path: str, expected: str) -> None:
    root = Path("/project")
    assert model_name(root / path, root) == expected


def test_arrays_are_found_by_their_shapes(tmp_path: Path) -> None:
    np.save(tmp_path / "signal.npy", np.zeros((9, 1, 128, 2), np.float32))
    np.save(tmp_path / "signal_val.npy", np.zeros((3, 1, 128, 2), np.float32))
    np.save(tmp_path / "other.npy", np.zeros((9, 7), np.float32))
    files = sorted(tmp_path.glob("*.npy"))
    found, held_out = arrays_for({"x": (1, 2, 1, 128)}, files)
    assert found["x"].name == "signal.npy"
    assert held_out["x"].name == "signal_val.npy"


@pytest.mark.parametrize(
    ("arrays", "taken"),
    [
        ({"y": (9,), "X": (9, 12)}, True),
        ({"X_train": (9, 12), "X_test": (4, 12), "y_train": (9,)}, True),
        ({"left": (9, 12), "right": (9, 12)}, False),
        ({"y": (9,)}, False),
    ],
)
def test_an_archive_of_arrays_is_taken_where_a_build_finds_its_array(
    arrays: dict[str, tuple[int, ...]], taken: bool, tmp_path: Path
) -> None:
    path = tmp_path / "table.npz"
    np.savez(path, **{name: np.zeros(shape, np.float32) for name, shape in arrays.items()})

    found, _held_out = arrays_for({"features": (1, 12)}, [path])

    assert found == ({"features": path} if taken else {})
