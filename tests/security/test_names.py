"""Names out of files: none becomes a path that leads anywhere but down from its own folder."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hefsmith_worker.calibration import CalibrationError, archives
from hefsmith_worker.contract import names
from hefsmith_worker.protocol import Plan, PlanError, StageError

from orchestrator.engine.base import Input
from orchestrator.engine.local import lend
from orchestrator.engine.results import safe_place
from orchestrator.errors import ConfigError, EngineError
from orchestrator.pipeline.cache import place, read_entry
from orchestrator.pipeline.inputs import collect
from orchestrator.pipeline.intake import ArtifactIntake
from orchestrator.project.loading import load_recipe
from orchestrator.report.golden import GoldenError, _below

from .conftest import Tally

onnx = pytest.importorskip("onnx")

HOSTILE = (
    "..", "../x", "a/../../x", "a/..", "/etc/passwd", "//server/share/x", "\\\\server\\share\\x",
    "..\\x", "a\\..\\..\\x", "C:x", "C:/x", "c:\\x", "x:stream", "", ".", "./", "./.", "/", "a\0b",
    "a\nb", "a\x1b[2J", "\x7f", "a\u202egpj.exe", "a\u2028b", "\ud800", "nul", "NUL.txt", "aux",
    "a/con.onnx", "com1", "LPT9.data", "conin$", "nul .txt", "a" * 256, "a/" * 65 + "b", "x" * 1001,
    "\u00e4" * 128, "./../x", "a/./../../x",
)  # fmt: skip
PLAIN = {
    "x": ("x",),
    "model.onnx.data": ("model.onnx.data",),
    "./a/b": ("a", "b"),
    "a/": ("a",),
    "a//b": ("a", "b"),
    "..a/b..": ("..a", "b.."),
    "console.txt": ("console.txt",),
    "a b/\u00fcber.jpg": ("a b", "\u00fcber.jpg"),
    "2024-01-01T10.pt": ("2024-01-01T10.pt",),
}


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_name_is_taken_as_it_is(name: str) -> None:
    assert names.parts(name) == PLAIN[name]


def refused(action: Any, *errors: type[BaseException]) -> bool:
    try:
        return action() is None
    except errors:
        return True


def test_every_reader_of_names_refuses_hostile_ones(tmp_path: Path, tally: Tally) -> None:
    """One place judges; each reader is shown every name, so that none reads past it."""
    document = {"model": "m", "arch": "hailo8", "net_name": "m", "hef_name": "m.hef"}
    plan = Plan({**document, "schema": 1, "stages": [], "parameters": {}}, tmp_path, tmp_path)
    intake = ArtifactIntake(tmp_path)
    entry = {"schema": 1, "files": [{"role": "x", "path": "", "sha256": "0", "bytes": 1}]}
    for name in HOSTILE:
        # A member of an archive made on Windows may be parted by backslashes.
        slashed = name.replace("\\", "/")
        entry["files"] = [{"role": "x", "path": name, "sha256": "0", "bytes": 1}]
        readers = {
            "names": lambda n=name: names.parts(n),
            "below": lambda n=name: names.below(tmp_path, n),
            "plan": lambda n=name: plan.input(n),
            "input": lambda n=name: Input(n, tmp_path),
            "results": lambda n=name: safe_place(n, tmp_path),
            "intake": lambda n=name: intake._place(n),
            "golden": lambda n=name: _below(tmp_path, n),
            "cache": lambda e=entry: read_entry(e),
            "archive": lambda n=slashed: archives._refuse_climbing(tmp_path, n) or n,
        }
        for reader, action in readers.items():
            held = refused(
                action, names.NameRefused, PlanError, EngineError, GoldenError, CalibrationError
            )
            tally.held(f"{reader}: {name[:40]!r}", held)


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_is_tamed_into_one_part(name: str) -> None:
    assert len(names.parts(names.tame(name))) == 1


RECIPE = """
source: {onnx: net.onnx}
inputs: {x: [1, 3, 8, 8]}
calibration: {source: ../../calib}
"""


def network(path: Path, location: str) -> None:
    """Write an ONNX file with weights that are said to lie at ``location``."""
    weight = onnx.TensorProto(name="w", data_type=1, dims=[1], data_location=1)
    weight.external_data.add(key="location", value=location)
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Add", ["x", "w"], ["y"])],
        "g", [value("x", 1, [1])], [value("y", 1, [1])], [weight],
    )  # fmt: skip
    path.write_bytes(onnx.helper.make_model(graph).SerializeToString())


def test_an_onnx_file_overwrites_no_file_of_the_user(
    tmp_path: Path, project: Path, tally: Tally
) -> None:
    """The named hole: a name that is one file beside the model and another below the inputs."""
    inputs = tmp_path / "jobs" / "hefsmith-in-1"
    inputs.mkdir(parents=True)
    victim = tmp_path / ".bashrc"
    victim.write_text("mine")
    # Beside the model, the same name is a file of the stranger's.
    folder = project / "models" / "net"
    folder.mkdir()
    (project / ".bashrc").write_text("theirs")
    for part in (inputs / "a", folder / "a", folder / ("x" * 130), inputs / ("x" * 130)):
        part.mkdir()
    (folder / "model.yaml").write_text(RECIPE)
    long = "x" * 130 + "/../../../.bashrc"
    for location in ("../../.bashrc", "a/../../../.bashrc", str(victim), long):
        network(folder / "net.onnx", location)
        code = None
        try:
            request = collect(load_recipe(folder), project, "hailo8l")
            for one in request.materials:
                lend(one.path, inputs / one.name)
        except ConfigError as error:
            code = error.code
        except OSError:
            pass
        whole = victim.read_text() == "mine" and not victim.is_symlink()
        tally.held(location[-40:], whole and code == "onnx.external-data")


def test_lending_never_writes_to_what_is_there(tmp_path: Path, tally: Tally) -> None:
    source, victim = tmp_path / "source", tmp_path / "victim"
    source.write_text("theirs")
    places = {"file": tmp_path / "file", "link": tmp_path / "link", "dangling": tmp_path / "none"}
    victim.write_text("mine")
    places["file"].write_text("mine")
    places["link"].symlink_to(victim)
    places["dangling"].symlink_to(tmp_path / "absent")
    for links in (True, False):
        for what, where in places.items():
            with pytest.MonkeyPatch.context() as patch, pytest.raises(FileExistsError):
                if not links:
                    patch.setattr(Path, "symlink_to", _no_links)
                lend(source, where)
            whole = victim.read_text() == places["file"].read_text() == "mine"
            tally.held(what, whole and not (tmp_path / "absent").exists())


def _no_links(*_: Any, **__: Any) -> None:
    raise OSError(1, "a required privilege is not held by the client")


def test_the_worker_copies_weights_over_nothing(tmp_path: Path, tally: Tally) -> None:
    from hefsmith_worker import onnx_files

    work, inputs = tmp_path / "work", tmp_path / "in"
    work.mkdir()
    inputs.mkdir()
    (work / "plan.json").write_text("mine")
    (inputs / "plan.json").write_text("theirs")
    (tmp_path / "secret").write_bytes(bytes(4))
    for location in ("plan.json", "model.onnx", "../secret", str(tmp_path / "secret")):
        network(inputs / "net.onnx", location)
        (work / "model.onnx").unlink(missing_ok=True)
        with pytest.raises(StageError) as caught:
            onnx_files.copy_onnx(inputs / "net.onnx", work / "model.onnx")
        kept = (work / "plan.json").read_text() == "mine"
        tally.held(location, kept and caught.value.code == "onnx.external-data")
    # What the host's finder did not see (a list written the other way round) is judged again.
    network(inputs / "net.onnx", "../secret")
    with pytest.raises(StageError) as caught:
        onnx_files.load(inputs / "net.onnx")
    tally.held("load", caught.value.code == "onnx.external-data")


def test_archives_with_hostile_members_are_refused(tmp_path: Path, tally: Tally) -> None:
    picture = b"\xff\xd8"
    for number, name in enumerate(("../x.jpg", "/x.jpg", "a/../../x.jpg", "nul.jpg", "C:/x.jpg")):
        packed = tmp_path / f"{number}.zip"
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr(zipfile.ZipInfo(name), picture)
        tally.held(name, refused(lambda p=packed: archives.list_zip(p), CalibrationError))
        packed = tmp_path / f"{number}.tar"
        with tarfile.open(packed, "w") as tar:
            member = tarfile.TarInfo(name)
            member.size = len(picture)
            tar.addfile(member, io.BytesIO(picture))
        tally.held(name, refused(lambda p=packed: archives.list_tar(p, tmp_path), CalibrationError))


def test_a_link_that_a_job_left_is_not_written_through(tmp_path: Path, tally: Tally) -> None:
    cached, victim = tmp_path / "cached", tmp_path / "victim"
    cached.write_text(json.dumps("theirs"))
    for made in (False, True):
        target = tmp_path / "work" / "model.har"
        target.parent.mkdir(exist_ok=True)
        target.unlink(missing_ok=True)
        target.symlink_to(victim)
        if made:
            victim.write_text("mine")
        place(cached, target, link=False)
        tally.held("link", not victim.exists() or victim.read_text() == "mine")
