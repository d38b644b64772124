"""Stage export: every way in which a network, its weights or its shape can be wrong is told."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hefsmith_worker.events import Channel
from hefsmith_worker.protocol import StageError, read_plan
from hefsmith_worker.stages import export
from hefsmith_worker.stages import samples as samples_stage
from hefsmith_worker.workspace import Workspace
from PIL import Image

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

MODEL = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, classes=4):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.head = nn.Linear(8, classes)

    def forward(self, image):
        return self.head(torch.relu(self.conv(image)).mean((2, 3)))


def build(classes=4):
    torch.manual_seed(0)
    return Net(classes)


def broken():
    raise KeyError("no such layer")


def number():
    return 42


class Noisy(Net):
    def forward(self, image):
        return super().forward(image) + (1.0 if torch.onnx.is_in_onnx_export() else 0.0)


def noisy():
    torch.manual_seed(0)
    return Noisy()


class Endless(Net):
    def forward(self, image):
        return super().forward(image) / torch.relu(image - 10).sum((1, 2, 3))[:, None]


class Two(Net):
    def forward(self, left, right):
        return super().forward(left + right)


def two():
    return Two()


class Gray(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.head = nn.Linear(4 * 64, 4)

    def forward(self, image):
        x = torch.max_pool2d(torch.relu(self.conv(image)), 2)
        return self.head(x.view(x.size(0), -1))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in" / "source").mkdir(parents=True)
    (tmp_path / "in" / "source" / "model.py").write_text(MODEL, encoding="utf-8")
    pictures = tmp_path / "in" / "validation"
    pictures.mkdir()
    random = np.random.default_rng(0)
    for index in range(4):
        picture = random.integers(0, 255, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(picture).save(pictures / f"{index}.png")
    namespace: dict[str, Any] = {}
    exec(compile(MODEL, "model.py", "exec"), namespace)
    torch.save(namespace["build"]().state_dict(), tmp_path / "in" / "net.pt")
    return tmp_path


def run(folder: Path, **changes: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    source = {
        "kind": "torch",
        "file": "source/model.py",
        "factory": "build",
        "kwargs": {},
        "trust_pickle": False,
        "weights": "net.pt",
    }
    source.update(changes.pop("source", {}))
    parameters = {
        "source": source,
        "inputs": {"image": [1, 3, 16, 16]},
        "exporter": "legacy",
        "opset": 13,
        "simplify": False,
    }
    samples = {
        "source": source,
        "tolerance": 1e-4,
        "sources": {"path": "validation"},
        "origin": "validation",
        "count": 4,
        "seed": 0,
        "labels": [],
        "task": None,
        "preprocessing": {"shared": {}},
    }
    samples.update(changes.pop("samples", {}))
    parameters.update(changes)
    plan = {
        "schema": 1,
        "model": "net",
        "arch": "hailo8l",
        "net_name": "net",
        "hef_name": "model.hef",
        "stages": ["export", "samples"],
        "parameters": {"export": parameters, "samples": samples},
    }
    work = folder / "work"
    work.mkdir(exist_ok=True)
    (work / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    stream = io.BytesIO()
    workspace = Workspace(read_plan(work / "plan.json", folder / "in", work), Channel(stream))
    result = {**export.run(workspace), **samples_stage.run(workspace)}
    return result, [json.loads(line) for line in stream.getvalue().splitlines()]


def test_torch_and_onnx_agree_and_golden_samples_are_kept(folder: Path) -> None:
    result, _ = run(folder)
    assert result["opset"] == 13
    assert result["parity"]["error"] < 1e-5
    assert result["samples"] == 4
    golden = folder / "work" / "golden"
    assert np.load(golden / "inputs" / "0.npy").shape == (4, 16, 16, 3)
    assert np.load(golden / "graph" / "pytorch" / "0.npy").shape == (4, 4)
    onnx.checker.check_model(onnx.load(str(folder / "work" / "model.onnx")))


def test_a_gray_network_may_flatten_with_view(folder: Path) -> None:
    namespace: dict[str, Any] = {}
    exec(compile(MODEL, "model.py", "exec"), namespace)
    torch.save(namespace["Gray"]().state_dict(), folder / "in" / "net.pt")
    result, _ = run(folder, source={"factory": "Gray"}, inputs={"image": [1, 1, 16, 16]})
    assert result["parity"]["error"] < 1e-5


@pytest.mark.slow
def test_the_opset_is_read_back_from_the_file(folder: Path) -> None:
    pytest.importorskip("onnxscript")
    result, events = run(folder, exporter="dynamo", opset=13)
    assert result["opset"] == 18
    finding = next(event for event in events if event["event"] == "finding")
    assert finding["code"] == "export.opset"
    assert (finding["asked"], finding["got"]) == (13, 18)


def test_the_same_network_gives_the_same_bytes(folder: Path) -> None:
    run(folder)
    first = (folder / "work" / "model.onnx").read_bytes()
    run(folder)
    assert (folder / "work" / "model.onnx").read_bytes() == first


@pytest.mark.slow
def test_the_dynamo_exporter_gives_the_same_bytes_wherever_the_code_lies(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pytest.importorskip("onnxscript")
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "copy"
    shutil.copytree(folder, elsewhere)
    found = []
    for place in (folder, elsewhere):
        run(place, exporter="dynamo", opset=18)
        found.append((place / "work" / "model.onnx").read_bytes())
        assert str(place).encode() not in found[-1]
        onnx.checker.check_model(onnx.load_from_string(found[-1]))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"source": {"factory": "biuld"}}, "export.factory-missing", "no function biuld"),
        ({"source": {"factory": "broken"}}, "export.factory-raised", "KeyError: 'no such layer'"),
        ({"source": {"factory": "number"}}, "export.factory-type", "returned int"),
        ({"source": {"file": "source/absent.py"}}, "export.factory-missing", "does not exist"),
        ({"source": {"weights": "absent.pt"}}, "export.weights-missing", "absent.pt"),
        ({"source": {"kwargs": {"classes": 7}}}, "export.weights-fit", "head.weight is [4, 8]"),
        ({"source": {"kwargs": {"klasses": 7}}}, "export.factory-raised", "klasses"),
        ({"inputs": {"image": [1, 1, 16, 16]}}, "export.shape", "image [1, 1, 16, 16]"),
        ({"source": {"factory": "two"}}, "export.inputs", "takes 2 inputs (left, right)"),
        (
            {"source": {"factory": "Endless"}},
            "export.not-finite",
            "answers with NaN or infinity in torch",
        ),
        ({"source": {"factory": "noisy"}}, "export.parity", "torch and ONNX differ"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_announced(
    folder: Path, changes: dict[str, Any], code: str, words: str
) -> None:
    with pytest.raises(StageError) as caught:
        run(folder, **changes)
    assert caught.value.code == code
    assert words in caught.value.message


def test_each_input_that_is_missing_is_named_as_the_recipe_takes_it(folder: Path) -> None:
    with pytest.raises(StageError) as caught:
        run(folder, source={"factory": "two"})
    assert "inputs: {left: [1, C, H, W], right: [1, C, H, W]}" in caught.value.fix


@pytest.mark.parametrize("content", [b"root:x:0:0:root", None])
def test_what_is_wrong_with_an_onnx_file_is_told_by_its_own_name(
    folder: Path, content: bytes | None
) -> None:
    run(folder)
    mine = folder / "in" / "mine.onnx"
    model = onnx.load(str(folder / "work" / "model.onnx"))
    del model.graph.initializer[0]
    mine.write_bytes(model.SerializeToString() if content is None else content)
    with pytest.raises(StageError, match=r"^mine\.onnx is not (an|valid) ONNX") as caught:
        run(folder, source={"kind": "onnx", "file": "mine.onnx"})
    assert not caught.value.message.endswith(":")


def test_an_error_in_the_users_file_names_its_line(folder: Path) -> None:
    (folder / "in" / "source" / "model.py").write_text("import torch\nx = 1 / 0\n")
    with pytest.raises(StageError, match=r"ZeroDivisionError.*\(model.py:2\)"):
        run(folder)


class Evil:
    def __reduce__(self) -> Any:
        return (open, ("/tmp/hefsmith-evil-was-here", "w"))


def test_a_pickle_that_runs_code_is_refused_and_not_run(folder: Path) -> None:
    marker = Path("/tmp/hefsmith-evil-was-here")
    marker.unlink(missing_ok=True)
    torch.save({"model": Evil()}, folder / "in" / "net.pt")
    with pytest.raises(StageError) as caught:
        run(folder)
    assert caught.value.code == "export.pickle-refused"
    assert "trust_pickle" in caught.value.fix
    assert not marker.exists()


@pytest.mark.parametrize(
    ("content", "told", "fix"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\n", "Git LFS", "git lfs pull"),
        (b"<!DOCTYPE html><html>", "a web page", "Download"),
        (b"\x01HEF\0\0\0\3", "a HEF", "compiled from"),
    ],
)
@pytest.mark.parametrize("ending", [".pt", ".safetensors"])
def test_what_lies_in_the_place_of_weights_is_not_called_code_to_be_trusted(
    tmp_path: Path, content: bytes, told: str, fix: str, ending: str
) -> None:
    from hefsmith_worker.stages import checkpoint

    path = tmp_path / f"net{ending}"
    path.write_bytes(content)
    for trust in (False, True):
        with pytest.raises(StageError) as refused:
            checkpoint.load(path, trust)
        assert told in str(refused.value)
        assert fix in str(refused.value.fix)
        assert "trust_pickle" not in str(refused.value.fix)


def test_weights_whose_first_byte_is_that_of_a_web_page_are_read(tmp_path: Path) -> None:
    """A safetensors file begins with the length of its header: 60 is ``<``."""
    from hefsmith_worker.stages import checkpoint

    header = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'.ljust(60)
    path = tmp_path / "net.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    assert path.read_bytes().startswith(b"<")
    assert len(checkpoint.load(path, False)) == 1


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04broken"])
def test_a_file_that_is_no_checkpoint_is_told_so(folder: Path, content: bytes) -> None:
    (folder / "in" / "net.pt").write_bytes(content)
    with pytest.raises(StageError) as caught:
        run(folder)
    assert caught.value.code in ("export.weights-unreadable", "export.pickle-refused")
    assert "net.pt" in caught.value.message


@pytest.mark.parametrize("wrap", ["state_dict", "model_state_dict"])
def test_checkpoints_of_training_tools_are_unwrapped(folder: Path, wrap: str) -> None:
    state = torch.load(folder / "in" / "net.pt", weights_only=True)
    prefixed = {f"module.{name}": tensor for name, tensor in state.items()}
    torch.save({wrap: prefixed, "epoch": 3}, folder / "in" / "net.pt")
    result, _ = run(folder)
    assert result["parity"]["error"] < 1e-5


def export_onnx(folder: Path, change: Any = None, dynamic: bool = False) -> Path:
    run(folder)
    model = onnx.load(str(folder / "work" / "model.onnx"))
    if dynamic:
        dims = model.graph.input[0].type.tensor_type.shape.dim
        dims[2].dim_param = "height"
    if change is not None:
        change(model)
    path = folder / "in" / "net.onnx"
    onnx.save(model, str(path))
    return path


ONNX = {"kind": "onnx", "file": "net.onnx", "weights": None}


def test_an_onnx_source_is_checked_and_run(folder: Path) -> None:
    export_onnx(folder)
    result, _ = run(folder, source=ONNX, inputs={})
    assert result["parity"] is None
    assert result["samples"] == 4


def test_a_dynamic_shape_is_refused_unless_the_recipe_fixes_it(folder: Path) -> None:
    export_onnx(folder, dynamic=True)
    with pytest.raises(StageError) as caught:
        run(folder, source=ONNX, inputs={})
    assert caught.value.code == "onnx.dynamic"
    assert "height" in caught.value.message
    result, _ = run(folder, source=ONNX)
    assert result["inputs"][0]["shape"] == [1, 3, 16, 16]


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ({"picture": [1, 3, 16, 16]}, "onnx.input-name"),
        ({"image": [1, 3, 32, 32]}, "onnx.input-shape"),
        ({"image": [1, 768]}, "onnx.input-shape"),
    ],
)
def test_inputs_that_do_not_fit_the_file_are_told(
    folder: Path, inputs: dict[str, Any], code: str
) -> None:
    export_onnx(folder)
    with pytest.raises(StageError) as caught:
        run(folder, source=ONNX, inputs=inputs)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        b"\x08\x07garbage",
        b"<html>",
    ],
)
def test_a_file_that_is_no_onnx_is_told_so(folder: Path, content: bytes) -> None:
    (folder / "in" / "net.onnx").write_bytes(content)
    with pytest.raises(StageError) as caught:
        run(folder, source=ONNX, inputs={})
    assert caught.value.code in ("onnx.unreadable", "onnx.empty", "onnx.invalid")


def test_preprocessing_that_does_not_fit_the_input_is_told(folder: Path) -> None:
    samples = {
        "sources": {"path": "validation"},
        "origin": "validation",
        "count": 4,
        "seed": 0,
        "preprocessing": {"shared": {"size": [8, 8]}},
    }
    with pytest.raises(StageError, match="gives 3 channels of 8 x 8, the network takes 3 of 16 x"):
        run(folder, samples=samples)


class Saver:
    """The user's training script: it saves the whole network, of the classes of ``model.py``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, module_name: str, wrapped: bool) -> None:
        import sys
        import types

        module = types.ModuleType(module_name)
        exec(compile(MODEL, "model.py", "exec"), module.__dict__)
        previous = sys.modules.get(module_name)
        sys.modules[module_name] = module
        try:
            network = module.build()
            torch.save({"ema": network} if wrapped else network, self.folder / "in" / "net.pt")
        finally:
            if previous is not None:
                sys.modules[module_name] = previous
            else:
                del sys.modules[module_name]


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("saved_by", ["model", "__main__"])
def test_a_whole_network_of_the_users_own_classes_needs_no_trust(
    folder: Path, saved_by: str, wrapped: bool
) -> None:
    Saver(folder).save(saved_by, wrapped)
    result, _ = run(folder)
    assert result["parity"]["error"] < 1e-5


def test_a_class_that_no_file_beside_the_factory_defines_is_refused(folder: Path) -> None:
    Saver(folder).save("elsewhere", False)
    with pytest.raises(StageError) as caught:
        run(folder)
    assert caught.value.code == "export.pickle-refused"


def test_code_that_hides_in_a_network_of_the_users_own_classes_is_not_run(folder: Path) -> None:
    marker = Path("/tmp/hefsmith-evil-was-here")
    marker.unlink(missing_ok=True)
    namespace: dict[str, Any] = {}
    exec(compile(MODEL, "model.py", "exec"), namespace)
    torch.save(
        {"model": namespace["build"]().state_dict(), "loss": Evil()}, folder / "in" / "net.pt"
    )
    with pytest.raises(StageError):
        run(folder)
    assert not marker.exists()


def test_safetensors_are_weights_like_any_other(folder: Path) -> None:
    from safetensors.torch import save_file

    namespace: dict[str, Any] = {}
    exec(compile(MODEL, "model.py", "exec"), namespace)
    save_file(namespace["build"]().state_dict(), folder / "in" / "net.safetensors")
    result, _ = run(folder, source={"weights": "net.safetensors"})
    assert result["parity"]["error"] < 1e-5
    (folder / "in" / "net.safetensors").write_bytes(b"\xff" * 40)
    with pytest.raises(StageError) as caught:
        run(folder, source={"weights": "net.safetensors"})
    assert caught.value.code == "export.weights-unreadable"


def test_a_network_that_is_there_already_needs_no_function(folder: Path) -> None:
    (folder / "in" / "source" / "model.py").write_text(MODEL + "\nnet = build()\n")
    result, _ = run(folder, source={"factory": "net"})
    assert result["parity"]["error"] < 1e-5


def test_a_package_that_is_missing_names_the_line_of_the_recipe(folder: Path) -> None:
    (folder / "in" / "source" / "model.py").write_text(
        "from cv2_of_another_world.flow import build\n"
    )
    with pytest.raises(StageError) as caught:
        run(folder)
    assert "export: {packages: [cv2_of_another_world]}" in caught.value.fix


def test_an_absent_ultralytics_is_told_as_such(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util
    import sys
    import types

    fake = types.ModuleType("ultralytics.nn.tasks")
    exec(compile(MODEL, "model.py", "exec"), fake.__dict__)
    with monkeypatch.context() as installed:
        for name in ("ultralytics", "ultralytics.nn", "ultralytics.nn.tasks"):
            installed.setitem(sys.modules, name, fake)
        torch.save({"model": fake.build()}, folder / "in" / "net.pt")
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "ultralytics" else find(name, *rest),
    )
    with pytest.raises(StageError) as caught:
        run(folder, source={"file": None, "factory": None})
    assert caught.value.code == "export.ultralytics-missing"
    assert "packages: [ultralytics]" in caught.value.fix


@pytest.mark.parametrize(
    ("kind", "options", "told"),
    [
        ("uint8", {}, True),
        ("int32", {}, True),
        ("float32", {}, False),
        ("uint8", {"std": [255.0]}, False),
        ("int32", {"std": [1.0]}, False),
        ("uint8", {"normalize": "chip"}, False),
    ],
)
def test_whole_numbers_that_are_divided_by_default_are_told(
    tmp_path: Path, kind: str, options: dict[str, Any], told: bool
) -> None:
    from hefsmith_worker.calibration import read_sources
    from hefsmith_worker.golden import divided_by_default, input_specs

    path = tmp_path / "x.npy"
    np.save(path, np.arange(24).reshape(4, 6).astype(kind))
    preprocessing = {"shared": {"color": "data", "normalize": "host", **options}}
    specs = input_specs(preprocessing, [{"name": "x", "shape": [1, 6]}])
    found = list(divided_by_default(preprocessing, specs, read_sources({"path": str(path)})))
    assert [one.code for one in found] == (["preprocess.divided"] if told else [])
    assert not found or (kind in found[0].message and "divided by 255" in found[0].message)
