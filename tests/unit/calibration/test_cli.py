"""``hef calib`` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from orchestrator.cli.app import run

RECIPE = """
schema: 1
source: {{onnx: net.onnx}}
inputs: {{image: [1, 3, 32, 32]}}
preprocessing: {{size: [32, 32], resize: letterbox}}
calibration: {{source: "{source}", count: 8, minimum: 4}}
optimization: {{level: 0, script: {script}}}
"""


@pytest.fixture
def project(
    tmp_path: Path, make_folder: Any, monkeypatch: pytest.MonkeyPatch, request: Any
) -> Path:
    """A project with one model ``net`` and twelve pictures."""
    import onnx
    from onnx import TensorProto, helper

    make_folder("photos", 12)
    folder = tmp_path / "models" / "net"
    folder.mkdir(parents=True)
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["out"]),
    ]
    graph = helper.make_graph(
        nodes, "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 32, 32])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 3])],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(folder / "net.onnx"))
    (folder / "model.yaml").write_text(RECIPE.format(source="../../photos", script="[]"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def answer(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_check_tells_what_a_build_would_use(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["calib", "check", "net"]) == 0

    out = capsys.readouterr().out
    assert "images    8 used, 8 asked, 12 there" in out
    assert "float model on the arrays" in out
    assert "[calib.count.level]" in out


def test_check_is_one_json_document(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["calib", "check", "net", "--json"]) == 0

    document = answer(capsys)
    assert document["used"] == 8
    assert document["inputs"][0]["shape"] == [8, 32, 32, 3]
    assert [finding["code"] for finding in document["findings"]] == ["calib.count.level"]


def test_an_error_in_the_set_fails_the_check(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = '["n = normalization([0,0,0], [255,255,255])"]'
    (project / "models/net/model.yaml").write_text(
        RECIPE.format(source="../../photos", script=script)
    )

    assert run(["calib", "check", "net"]) == 1
    assert "[calib.normalised-twice]" in capsys.readouterr().out


@pytest.mark.slow
def test_warnings_fail_only_when_strict(project: Path) -> None:
    assert run(["calib", "check", "net"]) == 0
    assert run(["calib", "check", "net", "--strict"]) == 1


def test_a_bare_source_is_checked_without_a_recipe(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "photos" / "bad\x1b[2J.png").write_bytes(b"x")

    assert run(["calib", "check", "photos", "--size", "24x32"]) == 0

    out = capsys.readouterr().out
    assert "24x32x3 uint8" in out
    assert "\x1b" not in out
    assert r"bad\x1b[2J.png: not a picture" in out


def test_an_array_alone_is_checked_at_its_own_size(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save("own.npy", np.random.RandomState(0).randint(0, 255, (9, 24, 40, 3)).astype(np.uint8))
    assert run(["calib", "check", "own.npy"]) == 0
    assert "24x40x3 uint8" in capsys.readouterr().out
    assert run(["calib", "check", "own.npy", "--size", "640"]) != 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["calib", "check", "nowhere"], "no model 'nowhere'"),
        (["calib", "check", "photos", "--size", "big"], "--size: 'big' is not a size"),
        (["calib", "check", "photos", "--color", "cmyk"], "color: 'cmyk'"),
        (["calib", "preview", "net", "-o", "sheet.jpg"], "must end in .png"),
        (["calib", "check", "empty"], "no pictures in it"),
    ],
)
def test_mistakes_are_one_message_and_exit_2(
    arguments: list[str], words: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "empty").mkdir()

    assert run(arguments) == 2

    err = capsys.readouterr().err
    assert words in err
    assert "Traceback" not in err


def test_a_recipe_whose_pictures_are_gone_is_told_with_its_line(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "models/net/model.yaml").write_text(RECIPE.format(source="../gone", script="[]"))

    assert run(["calib", "check", "net"]) == 2
    assert "model.yaml:6" in capsys.readouterr().err


def test_preview_writes_the_sheet_and_prints_its_path(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["calib", "preview", "net"]) == 0

    path = Path(capsys.readouterr().out.strip())
    assert path == project / "artifacts" / "net" / "calibration.png"
    assert np.asarray(Image.open(path)).shape[2] == 3
    assert [entry.name for entry in path.parent.iterdir()] == ["calibration.png"]


def test_no_pictures_are_left_in_the_cache(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEFSMITH_CACHE", str(project / "cache"))

    run(["calib", "check", "net"])

    assert [one.name for one in (project / "cache").iterdir()] == ["recipes"]


def test_the_host_without_pillow_is_told_what_to_install(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "PIL", None)

    assert run(["calib", "check", "net"]) == 2
    assert "[emulator]" in capsys.readouterr().err


def test_fetch_copies_remote_sources_into_the_project(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import fsspec

    store = fsspec.filesystem("memory")
    store.pipe("/bucket/0.png", (project / "photos" / "0000.png").read_bytes())
    (project / "models/net/model.yaml").write_text(
        RECIPE.format(source="memory://bucket", script="[]")
    )

    assert run(["calib", "fetch", "net", "--json"]) == 0

    (place,) = answer(capsys)["sources"].values()
    assert Path(place).parent == project / "calib" / "remote"
    assert (Path(place) / "0.png").is_file()


def test_a_path_that_leads_nowhere_is_told_as_a_path(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "loop").symlink_to("loop")

    assert run(["calib", "check", "photos/gone"]) == 2
    assert "photos/gone: does not exist" in capsys.readouterr().err
    assert run(["calib", "check", "loop"]) == 2
    assert "a link that leads nowhere or in a circle" in capsys.readouterr().err
    assert run(["calib", "check", "nomodel"]) == 2
    assert "no model 'nomodel'" in capsys.readouterr().err


def test_a_list_that_leads_elsewhere_is_checked_as_a_build_reads_it(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = project / "models" / "net"
    lines = [f"../../photos/{path.name}" for path in sorted((project / "photos").iterdir())]
    (folder / "calibration.txt").write_text("\n".join(lines) + "\n")
    (folder / "model.yaml").write_text(RECIPE.format(source="calibration.txt", script="[]"))
    assert run(["calib", "check", "--json"]) == 0
    assert answer(capsys)["used"] == 8


def test_analyze_takes_the_only_model_as_the_other_commands_do(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["calib", "analyze", "--json"]) in (0, 1)
    assert json.loads(capsys.readouterr().out)["available"] == 12
    assert not (project / "calib" / "digits").exists()
