"""The hailortcli stand-in: texts, exit codes and the quirks of each version."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from orchestrator.paths import image_context
from tests.unit.runtime import hefs
from tests.unit.runtime.runner import emulated_environment

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

VERSIONS = ("4.20.0", "4.21.0", "4.22.0", "4.23.0", "4.24.0", "5.0.0", "5.1.1", "5.2.0")


@pytest.mark.parametrize("version", VERSIONS)
def test_version_line(play, version: str) -> None:
    assert play("--version", version=version) == (0, f"HailoRT-CLI version {version}\n", "")


def test_identify_prints_what_the_vendors_tool_prints(play) -> None:
    code, out, _ = play("fw-control", "identify", version="4.20.0")
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "Executing on device: 0000:01:00.0"
    assert lines[1] == "Identifying board"
    assert "Firmware Version: 4.20.0 (release,app,extended context switch buffer)" in lines
    # The board's name does not tell an 8L from an 8: only the architecture does.
    assert "Board Name: Hailo-8" in lines
    assert "Device Architecture: HAILO8L" in lines
    assert "Serial Number: EMULATED" in lines
    assert "EMULATED" in next(line for line in lines if line.startswith("Product Name"))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("fault", ["no_device", "no_driver"])
def test_without_a_device_identify_is_silent_or_fails_by_version(
    play, version: str, fault: str
) -> None:
    code, out, err = play("fw-control", "identify", version=version, fault=fault)
    assert out == ""
    if version in ("4.23.0", "4.24.0", "5.1.1", "5.2.0"):
        assert (code, err) == (0, "")
    else:
        assert code == 64
        assert "Can't find hailort driver class" in err.splitlines()[0]


def test_scan_with_and_without_a_device(play) -> None:
    assert play("scan")[:2] == (0, "Hailo Devices:\n[-] Device: 0000:01:00.0\n")
    assert play("scan", fault="no_device")[:2] == (0, "Hailo devices not found\n")
    assert play("scan", fault="no_firmware", version="4.20.0")[:2] == (
        0,
        "Hailo devices not found\n",
    )


def test_the_driver_of_one_line_does_not_see_chips_of_the_other(play) -> None:
    assert "not found" in play("scan", version="5.2.0", chip="hailo8l")[1]
    assert "not found" in play("scan", version="4.23.0", chip="hailo10h")[1]


def test_driver_and_library_of_different_versions(play) -> None:
    code, out, err = play("fw-control", "identify", version="4.19.0", fault="driver_mismatch")
    assert (code, out) == (76, "")
    first = "Driver version (4.18.0) is different from library version (4.19.0)"
    assert first in err.splitlines()[0]
    assert "Driver version mismatch, status HAILO_INVALID_DRIVER_VERSION(76)" in err


def test_tool_and_library_of_different_versions(play) -> None:
    code, out, err = play("scan", fault="cli_mismatch")
    assert (code, out) == (255, "")
    assert err == "libhailort version (4.22.0) does not match HailoRT-CLI version (4.23.0)\n"


def test_mistakes_in_the_command_line_have_the_numbers_of_cli11(play, tmp_path: Path) -> None:
    assert play("bogus")[0] == 109
    assert play("run")[0] == 106
    assert play("run", str(tmp_path / "none.hef"))[0] == 105
    assert play()[0] == 106
    hef = hefs.store(tmp_path, hefs.classifier())
    assert play("run", hef, "-t", "1", "-c", "1")[0] == 108
    assert play("run", hef, "--measure-overall-latency")[0] == 107


def test_an_unknown_setting_is_named(play, monkeypatch: pytest.MonkeyPatch) -> None:
    code, _, err = play("scan", fault="gremlins")
    assert code != 0
    assert "HEFSMITH_EMULATED_FAULT='gremlins'" in err


def test_parse_hef_speaks_as_each_version_does(play, tmp_path: Path) -> None:
    hef = hefs.store(tmp_path, hefs.detector())
    first = {v: play("parse-hef", hef, version=v)[1].splitlines()[0] for v in VERSIONS}
    for version in ("4.20.0", "4.23.0", "5.0.0"):
        assert first[version] == "Architecture HEF was compiled for: HAILO8L"
    for version in ("5.1.1", "5.2.0"):
        assert first[version] == "HEF Compatible for: HAILO8L, HAILO8"
    text = play("parse-hef", hef, version="5.2.0", fault="no_device")[1]
    assert "HAILO NMS BY CLASS(number of classes: 3, maximum bounding boxes per class: 10" in text
    assert "Op YOLOV8" in text


def test_parse_hef_of_a_folder(play, tmp_path: Path) -> None:
    code, _, err = play("parse-hef", str(tmp_path))
    assert code == 2
    assert "No HEF files were found in the directory" in err
    hefs.store(tmp_path, hefs.classifier(), "a.hef")
    hefs.store(tmp_path, hefs.detector(), "b.hef")
    code, out, _ = play("parse-hef", str(tmp_path))
    assert code == 0
    assert out.count("*" * 80) == 2
    assert f"Parsing {tmp_path / 'a.hef'}:" in out


def test_parse_hef_agrees_with_the_vendors_answers(play, shared_hefs: Path) -> None:
    compared = 0
    for path in sorted(shared_hefs.glob("*/*.hef")):
        text = path.with_suffix("").with_suffix("").parent / (path.stem + ".expected.txt")
        plain = text.read_text(encoding="utf-8").split("$ hailortcli parse-hef")[1]
        code = int(plain.split("[exit ")[1].split("]")[0])
        if code < 0 or code > 128:
            continue  # the vendor's parser crashes on these
        expected = plain.split("--- stdout\n")[1].split("--- stderr")[0]
        found, out, _ = play("parse-hef", str(path), version="5.2.0")
        assert (path.name, found, out) == (path.name, code, expected)
        compared += 1
    assert compared > 40


def test_run_prints_the_vendors_layout_and_says_emulated(play, tmp_path: Path) -> None:
    hef = hefs.store(tmp_path, hefs.classifier())
    code, out, err = play("run", hef, "-c", "5")
    assert code == 0
    assert "emulated" in err
    lines = out.splitlines()
    assert lines[0] == f"Running streaming inference ({hef}):"
    assert "  Transform data: true" in lines
    assert "> Inference result:" in lines
    assert " Network group: net" in lines
    assert "    Frames count: 5" in lines
    assert any(line.startswith("    FPS: ") for line in lines)
    csv = tmp_path / "run.csv"
    code, out, _ = play("run", hef, "-c", "3", "--measure-latency", "--csv", str(csv))
    assert code == 0
    assert "    HW Latency: " in out
    header, row = csv.read_text().splitlines()
    assert header.startswith("net_name,status,status_description,fps,num_of_frames,")
    assert row.startswith("net,0,HAILO_SUCCESS,,3,")
    assert len(row.split(",")) == len(header.split(","))


def test_run_is_refused_on_cards_of_the_newer_line_but_run2_works(play, tmp_path: Path) -> None:
    hef = hefs.store(tmp_path, hefs.classifier(arch="hailo10h"))
    code, _, err = play("run", hef, version="5.2.0")
    assert code == 6
    assert 'Use "run2" instead' in err
    target = tmp_path / "out.json"
    code, _, _ = play("run2", "-t", "1", "-j", str(target), "set-net", hef, version="5.2.0")
    assert code == 0
    document = json.loads(target.read_text())
    assert document["inference_mode"] == "full_async"
    assert float(document["network_groups"][0]["FPS"]) > 0
    assert isinstance(document["network_groups"][0]["FPS"], str)
    assert play("run2", version="5.2.0")[0] == 6


def test_power_cannot_be_measured(play, tmp_path: Path) -> None:
    hef = hefs.store(tmp_path, hefs.classifier())
    code, _, err = play("run", hef, "-c", "1", "--measure-power")
    assert code == 6
    assert "Power measurement not supported. Disable the measure-power option" in err


def test_benchmark_has_three_phases_or_one_line_by_version(play, tmp_path: Path) -> None:
    hef = hefs.store(tmp_path, hefs.classifier())
    csv = tmp_path / "bench.csv"
    code, out, _ = play("benchmark", hef, "-t", "1", "--csv", str(csv))
    assert code == 0
    assert "Measuring FPS in HW-only mode" in out
    assert "FPS     (hw_only)                 = " in out
    assert "Latency (hw)                      = " in out
    assert "Power" not in out.split("Summary")[1]
    assert csv.read_text().startswith("net_name,fps,hw_only_fps,")
    newer = hefs.store(tmp_path, hefs.classifier(arch="hailo10h"), "newer.hef")
    for version in ("5.1.1", "5.2.0"):
        code, out, err = play("benchmark", newer, "-t", "1", version=version)
        assert code == 0
        assert "net: FPS: " in out
        assert "(streaming)" not in out
        assert "Measurement power is not supported" in err


@pytest.mark.parametrize(
    ("fault", "code", "text"),
    [
        ("device_busy", 74, "there are not enough free devices. requested: 1, found: 0"),
        ("wrong_chip", 93, "Device arch: HAILO8L, HEF arch: HAILO8"),
        ("page_size", 8, "max_desc_page_size given 16384 is bigger than hw max desc page size"),
        ("timeout", 4, "failed with status=HAILO_TIMEOUT(4), timeout=10000ms"),
        ("no_firmware", 74, "there are not enough free devices"),
    ],
)
def test_faults_have_the_vendors_text_and_status(
    play, tmp_path: Path, fault: str, code: int, text: str
) -> None:
    hef = hefs.store(tmp_path, hefs.classifier())
    found, _, err = play("run", hef, "-c", "1", fault=fault)
    assert found == code
    assert text in err


def test_a_hef_for_the_big_chip_is_refused_by_the_small_one_with_its_versions_status(
    play, tmp_path: Path
) -> None:
    hef = hefs.store(tmp_path, hefs.classifier(arch="hailo8"))
    text = "HEF format is not compatible with device. Device arch: HAILO8L, HEF arch: HAILO8"
    for version, status in (("4.20.0", 26), ("4.21.0", 93), ("4.23.0", 93)):
        code, _, err = play("run", hef, "-c", "1", version=version)
        assert code == status
        assert text in err
    small = hefs.store(tmp_path, hefs.classifier(), "small.hef")
    code, _, err = play("run", small, "-c", "1", chip="hailo8")
    assert code == 0
    assert "lower" in err


def test_the_script_itself_runs_without_any_path_set(tmp_path: Path) -> None:
    environment = emulated_environment()
    del environment["PYTHONPATH"]
    script = image_context("emulator") / "bin" / "hailortcli"
    done = subprocess.run(
        [sys.executable, str(script), "scan"],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
        check=False,
    )
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "Hailo Devices:")


@pytest.mark.parametrize("argv", [["--version"], ["scan"], ["fw-control", "identify"]])
def test_asking_what_the_device_is_loads_no_numpy(argv: list[str]) -> None:
    code = (
        "import sys\n"
        "from hailo_emulator.runtime.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "print({'numpy', 'onnx', 'onnxruntime', 'google.protobuf'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *argv],
        env={**emulated_environment(), "HAILORT_LOGGER_PATH": "NONE"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "set()", done.stdout
