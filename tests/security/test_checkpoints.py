"""Weights of strangers: none runs code, writes a file, or imports what it likes."""

from __future__ import annotations

import io
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hefsmith_worker.calibration import CalibrationError, arrays
from hefsmith_worker.protocol import StageError
from hefsmith_worker.stages import checkpoint, structure, torchscript
from hefsmith_worker.workspace import BOXED_INPUTS

from orchestrator.engine.base import IN
from orchestrator.errors import ArtifactError
from orchestrator.inspect.checkpoint import read_checkpoint

from .conftest import Tally

torch = pytest.importorskip("torch")
nn = torch.nn
# TorchScript is deprecated, and still what users have.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

MARKER = Path("/tmp/hefsmith-attack-was-here")


@pytest.fixture(autouse=True)
def marker() -> Any:
    MARKER.unlink(missing_ok=True)
    yield MARKER
    MARKER.unlink(missing_ok=True)


def packed(path: Path, data: bytes) -> Path:
    """Write a zip archive as torch.save makes it, around any pickle."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/data.pkl", data)
        archive.writestr("net/version", "3\n")
        archive.writestr("net/byteorder", "little")
    return path


def called(module: str, name: str, *arguments: Any, build: Any = None, new: bool = False) -> bytes:
    """Return a pickle (protocol 2) that calls ``module.name``: by REDUCE, or by NEWOBJ."""
    inner = pickle.dumps(arguments, 2)[2:-1]
    head = b"\x80\x02" + f"c{module}\n{name}\n".encode() + inner + (b"\x81" if new else b"R")
    return head + (pickle.dumps(build, 2)[2:-1] + b"b" if build is not None else b"") + b"."


class Loud(nn.Module):
    """A layer that does something when it is made, as some of torch's and Ultralytics' do."""

    def __init__(self, *_: Any) -> None:
        MARKER.write_text("constructor")
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        MARKER.write_text("setstate")

    def __new__(cls, *_: Any) -> Any:
        MARKER.write_text("new")
        return super().__new__(cls)


def installed(monkeypatch: pytest.MonkeyPatch, module: str, kind: type) -> None:
    parts = module.split(".")
    for number in range(1, len(parts) + 1):
        name = ".".join(parts[:number])
        if name not in sys.modules:
            monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setattr(sys.modules[module], kind.__name__, kind, raising=False)


WORD = str(MARKER)
PICKLES = {
    "system": called("os", "system", f"touch {WORD}"),
    "posix": called("posix", "system", f"touch {WORD}"),
    "eval": called("builtins", "eval", f"open({WORD!r}, 'w')"),
    "exec": called("__builtin__", "exec", f"open({WORD!r}, 'w')"),
    "open": called("io", "open", WORD, "w"),
    "popen": called("subprocess", "Popen", ["touch", WORD]),
    "getattr": called("builtins", "getattr", "x", "upper"),
    "partial": called("functools", "partial", print, 1),
    "torch.load": called("torch", "load", WORD),
    "from_file": called("torch", "from_file", WORD, True, 4),
    "storage file": called("torch", "UntypedStorage.from_file", WORD, True, 4),
    "jit": called("torch.jit", "load", WORD),
    "hub": called("torch.hub", "load", "x", "y"),
    "fx": called("torch.fx.graph_module", "reduce_graph_module", {"_code": "1"}, "import os"),
    "cpp": called("torch.utils.cpp_extension", "load_inline", "x"),
    "dynamo": called("torch._dynamo.eval_frame", "OptimizedModule", 1),
    "package": called("torch.package.package_importer", "PackageImporter", WORD),
    "numpy": called("numpy", "save", WORD, [1]),
    "numpy object": called("numpy.core.multiarray", "_reconstruct", 1),
    "joblib": called("joblib.numpy_pickle", "load", WORD),
    "import": called("this_is_no_module.at_all", "Net"),
    "stack": b"\x80\x04\x8c\x02os\x8c\x06system\x93" + pickle.dumps((f"touch {WORD}",), 4)[2:-1]
    + b"R.",
    "inst": b"(S'touch " + WORD.encode() + b"'\nios\nsystem\n.",
    "extension": b"\x80\x02\x82\x01.",
    "layer made": called("torch.nn.modules.conv", "Conv2d", 3, 8, 3),
    "layer new": called("torch.nn.modules.conv", "Conv2d", 3, 8, 3, new=True),
    "loud made": called("ultralytics.nn.modules.loud", "Loud", WORD),
    "loud made empty": called("ultralytics.nn.modules.loud", "Loud"),
    "loud new": called("ultralytics.nn.modules.loud", "Loud", WORD, new=True),
    "loud state": called("ultralytics.nn.modules.loud", "Loud", build={"x": 1}, new=True),
    "loud tasks": called("ultralytics.nn.tasks", "Loud", {"backbone": "__import__"}),
    "loud elsewhere": called("ultralytics.nn.autobackend", "Loud", WORD),
    "loud as value": b"\x80\x02}X\x01\x00\x00\x00acultralytics.nn.modules.loud\nLoud\ns.",
    "class as value": b"\x80\x02}X\x01\x00\x00\x00actorch.nn.modules.conv\nConv2d\ns.",
    "function as value": b"\x80\x02}X\x01\x00\x00\x00actorch._utils\n_rebuild_tensor_v2\ns.",
    "hook": called("torch.nn.modules.linear", "Identity", build={"a": OrderedDict}, new=True),
    "odd state": called("torch.nn.modules.linear", "Identity", build=[1, 2], new=True),
    "odd name": called("torch.nn.modules.linear", "Identity", build={1: 2}, new=True),
    "slots": called("torch.nn.modules.linear", "Identity", build=({}, {"forward": 1}), new=True),
    "namespace": called("types", "SimpleNamespace", {"a": 1}),
    "deep": b"\x80\x02" + b"]" * 30_000 + b"a" * 29_999 + b".",
    "cut": pickle.dumps({"a": 1}, 2)[:-3],
    "huge text": b"\x80\x02X" + struct.pack("<I", 0xFFFFFFFF) + b"x.",
    "empty stack": b"\x80\x02b.",
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
def test_no_pickle_runs_code(tmp_path: Path, tally: Tally, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("ultralytics.nn.modules.loud", "ultralytics.nn.tasks"):
        installed(monkeypatch, module, Loud)
    installed(monkeypatch, "ultralytics.nn.autobackend", Loud)
    before = set(sys.modules)
    for what, data in PICKLES.items():
        for form in ("zip", "legacy"):
            path = tmp_path / f"{form}.pt"
            if form == "zip":
                packed(path, data)
            else:
                path.write_bytes(data)
            with suppress(ArtifactError):
                read_checkpoint(path)
            code, found = "", None
            try:
                found = checkpoint.load(path, False)
            except StageError as error:
                code = error.code
            # An object of an admitted layer without a state is what remains of its constructor.
            inert = (
                code.startswith("export.")
                or type(found) is nn.Conv2d
                or (what.startswith("loud") and not MARKER.exists())
                or what in ("hook", "deep")
            )
            tally.held(f"{what} ({form})", inert and not MARKER.exists())
    fresh = {name for name in set(sys.modules) - before if "this_is" in name or "joblib" in name}
    tally.held("imports", not fresh)


def test_weights_made_with_shells_are_the_weights(tmp_path: Path) -> None:
    """The safe reader reads what it should: whole networks of torch's layers, tied and nested."""
    torch.manual_seed(0)
    inner = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.SiLU(), nn.Upsample(None, 2.0))
    net = nn.Sequential(inner, inner, nn.ModuleList([nn.Linear(2, 2)]))
    net[0][0].weight = net[0][0].weight
    torch.save({"model": net, "names": {0: "cat"}, "date": "x", "size": torch.Size([1])},
               tmp_path / "net.pt")  # fmt: skip
    found = checkpoint.load(tmp_path / "net.pt", False)
    assert found["names"] == {0: "cat"}
    assert found["model"][0] is found["model"][1]
    sample = torch.rand(1, 3, 8, 8)
    assert torch.equal(found["model"][0].eval()(sample), net[0].eval()(sample))
    assert found["model"].state_dict().keys() == net.state_dict().keys()


def test_a_script_of_the_user_is_not_run_because_weights_name_it(
    tmp_path: Path, tally: Tally
) -> None:
    (tmp_path / "deploy.py").write_text(f"open({WORD!r}, 'w')\nclass Net: pass\n")
    own = types.ModuleType("model")
    own.__file__ = str(tmp_path / "model.py")
    sys.path.insert(0, str(tmp_path))
    try:
        packed(tmp_path / "net.pt", called("deploy", "Net", new=True))
        with pytest.raises(StageError):
            checkpoint.load(tmp_path / "net.pt", False, own)
    finally:
        sys.path.remove(str(tmp_path))
    tally.held("deploy.py", not MARKER.exists() and "deploy" not in sys.modules)


SCRIPTS = {
    "save": "torch.save(x, '%s')",
    "from file": "y = torch.from_file('%s', True, 4)",
    "ops save": "ops.aten.save(x, '%s')",
    "video": "ops.image.write_file('%s', x)",
    "reader": "y = ops.torchvision.read_file('%s')",
    "class": "y = __torch__.torch.classes.rpc.Thing()",
    "audio": "ops.torchaudio.sox_io_save_audio_file('%s')",
    "mine": "ops.mine.anything(x)",
}


def test_torchscript_that_touches_files_is_refused_in_the_box_too(
    tmp_path: Path, tally: Tally
) -> None:
    class Writes(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            torch.save(x, "/tmp/hefsmith-attack-was-here")
            return x

    net = torch.jit.script(Writes())
    net.save(str(tmp_path / "real.pt"))
    scripts = {"real": tmp_path / "real.pt"}
    for name, line in SCRIPTS.items():
        path = scripts[name] = tmp_path / f"{name}.pt"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("net/code/__torch__.py", line.replace("%s", WORD))
            archive.writestr("net/constants.pkl", b"\x80\x02).")
    for name, path in scripts.items():
        for allowed in ({"trust_pickle": True}, {"trust_pickle": False, "boxed": True}):
            with pytest.raises(StageError) as caught:
                checkpoint.load(path, **allowed)
            refused = caught.value.code == "export.torchscript-refused"
            tally.held(name, refused and not MARKER.exists())


def test_torchscript_runs_in_the_box_or_trusted_and_nowhere_else(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    sample = torch.rand(1, 3, 8, 8)
    net = torch.jit.trace(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Upsample(scale_factor=2)), sample)
    net.save(str(path))
    assert torchscript.is_one(path)
    with pytest.raises(StageError) as caught:
        checkpoint.load(path, False)
    assert caught.value.code == "export.torchscript-refused"
    assert "--engine docker" in caught.value.fix
    for allowed in ({"trust_pickle": True}, {"trust_pickle": False, "boxed": True}):
        assert torch.equal(checkpoint.load(path, **allowed)(sample), net(sample))


def test_the_worker_knows_the_box_by_where_its_inputs_are() -> None:
    assert str(BOXED_INPUTS) == str(IN)


def test_a_pickle_in_calibration_data_is_not_loaded(tmp_path: Path, tally: Tally) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (open, (WORD, "w"))

    np.save(tmp_path / "a.npy", np.array([Evil()], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "a.npz", x=np.array([Evil()], dtype=object))
    MARKER.unlink(missing_ok=True)
    (tmp_path / "b.npy").write_bytes(pickle.dumps(Evil()))
    plain = io.BytesIO()
    with zipfile.ZipFile(plain, "w") as archive:
        archive.writestr("x.pkl", pickle.dumps(Evil()))
    (tmp_path / "b.npz").write_bytes(plain.getvalue())
    MARKER.unlink(missing_ok=True)
    spec: Any = types.SimpleNamespace(name="x", preprocess=types.SimpleNamespace(shape=(1,)))
    for name in ("a.npy", "b.npy", "a.npz", "b.npz"):
        reader: Any = arrays.list_npy if name.endswith("npy") else arrays.list_npz
        extra = () if name.endswith("npy") else (tmp_path / "scratch",)
        (tmp_path / "scratch").mkdir(exist_ok=True)
        with pytest.raises(CalibrationError):
            reader(tmp_path / name, spec, *extra)
        tally.held(name, not MARKER.exists())


def test_shells_are_refused_what_is_not_plain() -> None:
    with pytest.raises(structure.NotPlain):
        structure.rebuilt({"a": [print]})
    with pytest.raises(structure.NotPlain):
        structure.rebuilt({"a": nn.Conv2d})
