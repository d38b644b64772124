"""The main job with an imported suite: the same code, the vendor's names, user and traps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.suite import fake_suite

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]


def test_a_model_is_built_by_the_suite_and_proven(suite_zip: Path, tmp_path: Path) -> None:
    environ = {
        **os.environ,
        "HEFSMITH_DATA": str(tmp_path / "data"),
        "HEFSMITH_CACHE": str(tmp_path / "cache"),
    }

    def hef(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "orchestrator", *words],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environ,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done

    hef("toolchain", "import", str(suite_zip))
    done = hef("up", "digits", "--engine", "docker", "--json")
    outcome = json.loads(done.stdout)
    assert outcome["proof"]["passed"]
    assert outcome["toolchain"] != "emulator"
    assert not outcome["emulated"]
    assert outcome["hef"].endswith("model.hailo8l.hef")
    # What the stand-in made says so itself, whatever it is called.
    assert outcome["proof"]["verdict"]["emulated"]
    assert "gpu: not used" in done.stderr
    manifest = json.loads(
        (tmp_path / "artifacts/digits/hailo8l/manifest.json").read_text(encoding="utf-8")
    )
    identity = manifest["predicate"]["buildDefinition"]["internalParameters"]["identity"]
    assert identity["compile"]["kind"] == "suite"
    assert "image" not in identity["export"]

    # The same network by the zoo inside the suite: its YAML and script, our checkpoint.
    folder = tmp_path / "models" / "scans"
    folder.mkdir(parents=True)
    recipe = (
        "schema: 1\nsource: {zoo: NAME, weights: ../../artifacts/digits/hailo8l/model.onnx}\n"
        "calibration: {source: calib/digits/calibration}\narch: [hailo8l]\n"
        "optimization: {level: 1}\n"
    )
    (folder / "model.yaml").write_text(recipe.replace("NAME", "little_digits"), encoding="utf-8")
    built = json.loads(hef("build", "scans", "--json").stdout)
    assert built["hef"].endswith("model.hailo8l.hef")
    script = (tmp_path / "artifacts/scans/hailo8l/model.alls").read_text(encoding="utf-8")
    assert "normalization1 = normalization([0.0], [255.0])" in script
    (folder / "model.yaml").write_text(recipe.replace("NAME", "little_digit"), encoding="utf-8")
    refused = hef("build", "scans", code=2)
    assert "has no network little_digit" in refused.stderr
    assert "Alike: little_digits" in refused.stderr


def test_export_and_compiler_run_in_environments_of_their_own(
    suite_zip: Path, tmp_path: Path
) -> None:
    environ = {
        **os.environ,
        "HEFSMITH_DATA": str(tmp_path / "data"),
        "HEFSMITH_CACHE": str(tmp_path / "cache"),
        "HEFSMITH_OFFLINE": "1",
    }

    def hef(*words: str) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-m", "orchestrator", *words, "--json"],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environ,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    # Loaded by the tests before this one, as a rule; the zip is there for a run of this alone.
    here = subprocess.run(["docker", "image", "inspect", fake_suite.TAG], capture_output=True)
    source = str(suite_zip) if here.returncode else fake_suite.TAG
    row = hef("toolchain", "import", source, "--export-layer")
    record = json.loads((tmp_path / f"data/toolchains/{row['name']}.json").read_text())
    layer = record["export_image"]
    try:
        assert layer != row["image"]
        # The compiler's environment is as it was: it still has no torch of ours.
        base = ["run", "--rm", "--network", "none", "--entrypoint", "", layer]
        owner = "import torch; print(torch.__file__)"
        assert fake_suite.docker(
            *base, "/local/hefsmith_export/bin/python", "-c", owner
        ).startswith("/local/hefsmith_export/")
        assert fake_suite.docker("image", "inspect", "-f", "{{.Config.User}}", layer) == "hailo"
        built = hef("build", "digits", "--engine", "docker")
        manifest = json.loads(
            (tmp_path / "artifacts/digits/hailo8l/manifest.json").read_text(encoding="utf-8")
        )
        identity = manifest["predicate"]["buildDefinition"]["internalParameters"]["identity"]
        assert identity["export"] == {"export_image": layer}
        assert identity["compile"]["image"] == row["content"]
        assert built["toolchain"] == row["name"]
    finally:
        fake_suite.docker("rmi", "-f", layer)
