"""The ``hailo`` command from ONNX to HEF, as its users type it."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def folder(models, tmp_path, monkeypatch, rng):
    monkeypatch.chdir(tmp_path)
    models.save(models.classifier(), tmp_path / "net.onnx")
    np.save(tmp_path / "calib.npy", rng.integers(0, 256, (10, 16, 16, 3)).astype(np.uint8))
    (tmp_path / "net.alls").write_text("n = normalization([0,0,0],[255,255,255])\n")
    return tmp_path


def hailo(*arguments):
    from hailo_emulator.cli import main

    return main([str(a) for a in arguments])


def test_parse_optimize_compile_leave_the_files_with_the_documented_names(folder, capsys):
    assert hailo("parser", "onnx", "net.onnx", "--hw-arch", "hailo8l", "--net-name", "mine") == 0
    assert (folder / "mine.har").is_file()
    assert hailo(
        "optimize", "mine.har", "--hw-arch", "hailo8l", "--calib-set-path", "calib.npy",
        "--model-script", "net.alls",
    ) == 0  # fmt: skip
    assert hailo("compiler", "mine_optimized.har", "--output-dir", "out") == 0
    assert (folder / "out" / "mine.hef").is_file()
    assert (folder / "out" / "mine_compiled.har").is_file()
    assert "Hailo DFC Version: 3.33.0 (emulated)" in capsys.readouterr().out
    assert hailo("har", "info", "out/mine_compiled.har") == 0
    said = capsys.readouterr().out
    assert "State: Compiled Model" in said
    assert "HW arch: hailo8l" in said
    assert hailo("analyze-noise", "mine_optimized.har", "--data-path", "calib.npy") == 0
    assert "mine/conv1 SNR: " in capsys.readouterr().out


def test_yes_takes_the_recommended_end_nodes(models, folder, capsys):
    models.save(models.single("TopK", extra={"k": ([3], np.int64)}, outputs=2), folder / "k.onnx")
    assert hailo("parser", "onnx", "k.onnx", "-y") == 0
    assert "using these end node names: /conv/Conv" in capsys.readouterr().out
    assert (folder / "k.har").is_file()


def test_a_failure_is_one_error_line_and_status_1(folder, capsys):
    assert hailo("parser", "onnx", "net.onnx", "--hw-arch", "hailo10h") == 1
    assert "[error] InvalidArgumentsException: hw_arch hailo10h" in capsys.readouterr().out
    assert hailo("optimize", "none.har", "--use-random-calib-set") == 1
    assert hailo("profiler") == 1


@pytest.mark.parametrize(
    "arguments", [("optimize", "x.har"), ("compiler", "x.har", "--batch-size", "8"), ("parser",)]
)
def test_wrong_usage_has_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        hailo(*arguments)
    assert caught.value.code == 2
    if "--batch-size" in arguments:
        assert "hailo: error: unrecognized arguments: --batch-size" in capsys.readouterr().err


@pytest.mark.parametrize(("dfc", "hailort"), [("3.33.0", "4.23.0"), ("5.2.0", "5.2.0")])
def test_version_names_both_and_says_emulated(monkeypatch, capsys, dfc, hailort):
    monkeypatch.setenv("HEFSMITH_EMULATED_DFC", dfc)
    assert hailo("--version") == 0
    said = capsys.readouterr().out
    assert f"v{hailort}" in said
    assert f"v{dfc} (emulated)" in said
