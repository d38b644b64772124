"""Locked builds, manifests that are checked, and builds that are made again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator import Project
from orchestrator.cli.app import run
from orchestrator.errors import ArtifactError
from orchestrator.files import sha256_of
from orchestrator.pipeline.finished.attest import Statement, read_statement
from orchestrator.pipeline.finished.reproducing import Reproduction, compare

from . import conftest


@pytest.fixture
def built(project: conftest.Project) -> Path:
    with Project() as opened:
        return opened.build("one", "hailo8l").folder


@pytest.mark.slow
def test_a_locked_build_goes_on_as_long_as_nothing_differs(
    project: conftest.Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["build", "one", "--arch", "hailo8l", "--locked"]) == 2
    assert "hef lock" in capsys.readouterr().err
    assert run(["lock", "--all"]) == 0
    assert run(["build", "--all", "--locked", "--json"]) == 0
    assert run(["lock", "--all", "--check"]) == 0
    capsys.readouterr()
    (project.root / "models/one/pictures/0.png").write_bytes(b"another picture")
    (project.root / "models/one/net.onnx").write_bytes(b"another network")
    assert run(["build", "one", "--arch", "hailo8l", "--locked"]) == 2
    said = capsys.readouterr().err
    assert "inputs.net.onnx: " in said
    assert "inputs.calibration: " in said
    assert run(["build", "--all", "--locked", "--json"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert found["counts"]["failed"] == 2, "the cells of the other model are as they were"
    assert run(["lock", "one", "--arch", "hailo8l"]) == 0
    assert run(["build", "one", "--arch", "hailo8l", "--locked"]) == 0


def test_what_is_asked_and_what_compiles_is_locked_too(
    project: conftest.Project,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert run(["lock", "one", "--arch", "hailo8l"]) == 0
    recipe = project.root / "models/one/model.yaml"
    recipe.write_text(recipe.read_text() + "optimization: {level: 1}\n")
    monkeypatch.setattr(
        "orchestrator.pipeline.identity.emulator_image_versions", lambda: {"numpy": "9.9.9"}
    )
    monkeypatch.setattr(
        "orchestrator.pipeline.identity.installed_versions", lambda *_: {"numpy": "9.9.9"}
    )
    capsys.readouterr()
    assert run(["build", "one", "--arch", "hailo8l", "--locked"]) == 2
    said = capsys.readouterr().err
    assert "recipe.optimize.level: " in said
    assert "toolchain.versions.numpy: " in said
    assert "export.libraries.numpy: " in said


def test_a_lock_keeps_what_others_wrote_into_it(project: conftest.Project) -> None:
    from orchestrator.toolchain.lock import read_lock

    pin = {"content": "sha256:c", "image": "sha256:i", "name": "suite", "versions": {}}
    lock = project.root / "hef.lock"
    lock.write_text(json.dumps({"schema": 1, "toolchains": {"3": pin}}))
    assert run(["lock", "one", "--arch", "hailo8l"]) == 0
    assert run(["lock", "two", "--arch", "hailo8l"]) == 0
    assert read_lock(project.root)[3].name == "suite"
    assert set(json.loads(lock.read_text())["builds"]) == {"one/hailo8l", "two/hailo8l"}


def test_files_are_compared_with_their_manifest(
    built: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(["verify", str(built)]) == 0
    assert run(["verify", str(built / "model.onnx")]) == 0
    copy = shutil.copy(built / "model.onnx", tmp_path / "net.onnx")
    capsys.readouterr()
    assert run(["verify", str(copy)]) == 2
    assert "--manifest" in capsys.readouterr().err
    assert run(["verify", str(copy), "--manifest", str(built / "manifest.json")]) == 0
    Path(copy).write_bytes(b"another")
    assert run(["verify", str(copy), "--manifest", str(built / "manifest.json")]) == 6
    (built / "model.har").write_bytes(b"changed")
    (built / "model.onnx").unlink()
    capsys.readouterr()
    assert run(["verify", str(built), "--json"]) == 6
    found = json.loads(capsys.readouterr().out)
    states = {one["path"]: one["state"] for one in found["subjects"]}
    assert states["model.har"] == "changed"
    assert states["model.onnx"] == "missing"
    assert found["signature"]["state"] == "none"


@pytest.mark.parametrize(
    "change",
    [
        {"_type": "https://example.org/other"},
        {"predicateType": "x"},
        {"subject": []},
        {"subject": [{"name": "../../etc/passwd", "digest": {"sha256": "0" * 64}}]},
        {"subject": [{"name": "a", "digest": {"sha256": "short"}}]},
        {"predicate": {}},
    ],
)
def test_what_is_no_manifest_of_ours_is_refused(
    built: Path, change: dict[str, Any], tmp_path: Path
) -> None:
    document = json.loads((built / "manifest.json").read_text())
    odd = tmp_path / "manifest.json"
    odd.write_text(json.dumps({**document, **change}))
    with pytest.raises(ArtifactError):
        read_statement(odd)
    assert run(["verify", str(odd)]) == 6


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs OpenSSH")
def test_a_signature_counts_when_the_list_has_its_key(
    built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("alice", "mallory"):
        key = tmp_path / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    signers = tmp_path / "signers"
    signers.write_text(f"alice@example.org {(tmp_path / 'alice.pub').read_text()}")

    def sign(name: str) -> None:
        (built / "manifest.json.sig").unlink(missing_ok=True)
        subprocess.run(
            ["ssh-keygen", "-q", "-Y", "sign", "-n", "file", "-f", tmp_path / name,
             built / "manifest.json"],
            check=True, capture_output=True,
        )  # fmt: skip

    def state(*options: str, code: int) -> str:
        capsys.readouterr()
        assert run(["verify", str(built), "--json", *options]) == code
        return str(json.loads(capsys.readouterr().out)["signature"]["state"])

    checked = ("--signers", str(signers))
    assert state(*checked, code=6) == "bad", "a signature was asked for, and there is none"
    sign("alice")
    assert state(code=0) == "not checked"
    assert state(*checked, code=0) == "good"
    sign("mallory")
    assert state(*checked, code=6) == "bad"
    sign("alice")
    manifest = built / "manifest.json"
    manifest.write_text(manifest.read_text().replace("emulator", "Emulator", 1))
    assert state(*checked, code=6) == "bad"


@pytest.mark.slow
def test_a_build_is_made_again_elsewhere_and_is_the_same(
    project: conftest.Project,
    built: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = shutil.copytree(built, tmp_path / "release")
    other = tmp_path / "elsewhere"
    shutil.copytree(project.root / "models", other / "models")
    monkeypatch.chdir(other)
    monkeypatch.setenv("HEFSMITH_CACHE", str(other / "cache"))
    assert run(["reproduce", str(kept), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["outcome"] == "bytes"
    assert not (other / "artifacts").exists()
    (kept / "manifest.json").write_text(
        (kept / "manifest.json").read_text().replace(sha256_of(kept / "model.har"), "0" * 64)
    )
    assert run(["reproduce", str(kept / "manifest.json"), "--json"]) == 6
    found = json.loads(capsys.readouterr().out)
    assert [one["path"] for one in found["files"] if not one["same"]] == ["model.har"]
    (other / "models/one/net.onnx").write_bytes(b"another network")
    assert run(["reproduce", str(kept)]) == 2
    assert "inputs.net.onnx" in capsys.readouterr().err


def test_numbers_are_compared_where_bytes_differ(tmp_path: Path) -> None:
    first, now = tmp_path / "first", tmp_path / "now"
    values = np.linspace(0, 1, 100, dtype=np.float32)
    subjects = {}
    for name, other in {"a.npy": values, "b.npy": values * (1 + 1e-5), "c.onnx": None}.items():
        for folder in (first, now):
            folder.mkdir(exist_ok=True)
            if other is None:
                (folder / name).write_bytes(os.fsencode(folder.name))
            else:
                np.save(folder / name, values if folder is first else other)
        subjects[name] = sha256_of(first / name)
    statement = Statement(
        first / "manifest.json", subjects, "m", "hailo8l", {}, "t", True, {}, {}, "1", ""
    )
    build: Any = type("Build", (), {"folder": now})
    found = Reproduction(compare(statement, build), (), now)
    assert {one.path: one.same for one in found.files} == {
        "a.npy": True, "b.npy": False, "c.onnx": False,
    }  # fmt: skip
    assert found.outcome == "numbers"
    assert found.worst_db == pytest.approx(100, abs=1)
    np.save(now / "b.npy", values + 0.1)
    assert Reproduction(compare(statement, build), (), now).outcome == "different"
