"""``hef analyze`` on the bundled model: nothing is compiled, and the answer is whole."""

from __future__ import annotations

import json
from pathlib import Path

from .conftest import Project


def test_analysis_of_the_bundled_model(built: Project) -> None:
    done = built.hef("analyze", "digits", "--engine", "local", "--json")
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["emulated"] is True
    assert {layer["type"] for layer in found["layers"]} >= {"conv", "dense"}
    assert all(layer["snr_db"] > 20 and layer["alone_db"] > 20 for layer in found["layers"])
    alone = [one["alone_db"] for one in found["worst"]]
    assert alone == sorted(alone)
    assert found["outputs"][0]["snr_db"] > 20
    assert not list(Path(found["folder"]).rglob("*.hef"))
    assert "] analyze: done" in done.stderr
    assert "] optimize: cached" in done.stderr  # the build's own stages serve it
    assert "] compile:" not in done.stderr

    report = built.hef("report", "digits")
    assert report.returncode == 0, report.stderr
    page = Path(report.stdout.strip()).read_text(encoding="utf-8")
    assert "Layers that cost most" in page
    assert found["worst"][0]["name"].rpartition("/")[2] in page
