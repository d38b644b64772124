"""``hef ship`` and ``hef rollback`` on the embedded device, from a finished build on disk."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from orchestrator.cli.app import run

from .making import make_hef


def write_build(root: Path, arch: str, seed: int = 0) -> None:
    folder = root / "artifacts" / "net" / arch
    hef = make_hef(folder / f"net.{arch}.emulated.hef", arch=arch, seed=seed)
    digest = hashlib.sha256(hef.read_bytes()).hexdigest()
    summary = {
        "model": "net", "arch": arch, "key": f"k{seed}", "emulated": True, "hef": hef.name,
        "labels": ["cat", "dog"], "preprocessing": {"shared": {"size": [8, 8]}},
        "postprocess": {"task": "classification"},
        "files": [{"path": hef.name, "bytes": hef.stat().st_size, "sha256": digest}],
    }  # fmt: skip
    (folder / "build.json").write_text(json.dumps(summary))
    subject = {"name": hef.name, "digest": {"sha256": digest}}
    (folder / "manifest.json").write_text(json.dumps({"subject": [subject]}))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one build; the embedded device lives as long as this process."""
    for arch in ("hailo8l", "hailo8"):
        write_build(tmp_path, arch)
    (tmp_path / "hef.yaml").write_text("schema: 1\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_the_build_for_the_devices_own_chip_is_shipped_with_what_goes_with_it(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["ship", "net", "--json"]) == 0
    (document,) = json.loads(capsys.readouterr().out)
    result = document["result"]
    names = [file["name"] for file in result["files"]]
    assert [name for name in names if name != "manifest.json"] == [
        "decoder.json", "labels.txt", "net.hailo8l.emulated.hef", "preprocessing.json",
    ]  # fmt: skip
    current = Path(result["folder"])
    assert (current / "labels.txt").read_text() == "cat\ndog\n"
    assert json.loads((current / "decoder.json").read_text())["task"] == "classification"

    assert run(["ship", "net"]) == 0
    again = capsys.readouterr()
    assert "unchanged" in again.out
    assert "EMULATED" in again.out

    assert run(["rollback", "net"]) == 4
    assert "no earlier release" in capsys.readouterr().err

    make_hef(project / "artifacts/net/hailo8l/net.hailo8l.emulated.hef", seed=1)
    assert run(["ship", "net", "--arch", "hailo8l"]) == 6
    assert "is not as it was built" in capsys.readouterr().err

    write_build(project, "hailo8l", seed=1)
    assert run(["ship", "net", "--arch", "hailo8l", "--json"]) == 0
    second = json.loads(capsys.readouterr().out)[0]["result"]
    assert second["previous"] == result["release"]
    assert run(["rollback", "net", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["result"]["release"] == result["release"]


@pytest.mark.usefixtures("project")
def test_a_rollback_of_a_model_that_was_never_shipped_says_so_and_makes_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["ship", "net"]) == 0
    capsys.readouterr()
    for _ in range(2):  # the first try made a folder there, which the second found
        assert run(["rollback", "nte", "--json"]) == 4
        said = json.loads(capsys.readouterr().out)["error"]
        assert said["message"] == "embedded: nte was never shipped there"
        assert said["hint"] == "hef ship nte --device embedded"
    from orchestrator.device.base import EMBEDDED
    from orchestrator.device.connection_pool import default_pool
    from orchestrator.device.ship import look

    with default_pool().connect(EMBEDDED) as session:
        assert not (Path(look(session, "nte").folder)).exists()
        assert Path(look(session, "net").folder).is_dir()


@pytest.mark.usefixtures("project")
def test_a_dry_run_connects_to_nothing_and_names_what_would_be_sent(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["ship", "net", "--device", "pi@192.0.2.1", "--dry-run", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["devices"] == [{"device": "pi@192.0.2.1", "address": "pi@192.0.2.1"}]
    assert {one["arch"] for one in document["releases"]} == {"hailo8", "hailo8l"}


@pytest.mark.usefixtures("project")
def test_a_model_that_was_never_built_says_how_to_build_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["ship", "digits"]) == 2
    assert "hef build digits" in capsys.readouterr().err
    # What is no model is told as that: no build of it can be made.
    assert run(["ship", "other"]) == 2
    assert "no model 'other'" in capsys.readouterr().err


def test_devices_are_added_listed_and_removed_as_text_and_as_json(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "hef.yaml").write_text(
        "schema: 1\ndevices:\n  garage: {host: pi@garage.lan:2222}\ngroups:\n  ours: [garage]\n"
    )
    assert run(["device", "add", "pi5", "pi@10.0.0.5", "--group", "lab", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["address"] == "pi@10.0.0.5"
    assert run(["device", "list", "--json"]) == 0
    listed = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert listed["pi5"]["groups"] == ["lab"]
    assert listed["garage"]["address"] == "pi@garage.lan:2222"
    assert listed["garage"]["origin"] == "hef.yaml"
    assert run(["device", "remove", "pi5"]) == 0
    assert run(["device", "remove", "pi5"]) == 2
    assert "no device 'pi5'" in capsys.readouterr().err
