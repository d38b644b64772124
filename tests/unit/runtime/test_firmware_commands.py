"""Commands of hailortcli for firmware, sensors and power, and what our own readers see of them."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.device.benchmark import BenchOptions, run_benchmark
from orchestrator.device.identity import read_identity
from orchestrator.diagnose.log_reader import read_log
from orchestrator.paths import image_context
from tests.unit.device import recorded
from tests.unit.runtime import hefs
from tests.unit.runtime.runner import QuickRunner, emulated_environment

pytestmark = pytest.mark.slow

NEWER = "5.2.0"


def test_identify_of_a_10h_shows_no_names_of_its_board_and_is_known_as_emulated(play) -> None:
    code, out, err = play("fw-control", "identify", version=NEWER)
    assert code == 0
    assert out.splitlines()[3:] == [
        "Firmware Version: 5.2.0 (release,app)",
        "Logger Version: 0",
        "Device Architecture: HAILO10H",
        "",
    ]
    raw = recorded.facts(NEWER, commands={"identify": recorded.output(out, err)})
    found = read_identity(raw)
    assert (found.chip, found.firmware, found.emulated) == ("hailo10h", "5.2.0", True)
    assert (found.board_name, found.serial, found.part_number) == (None, None, None)
    assert found.product_name is None


@pytest.mark.parametrize(
    ("argv", "older", "newer"),
    [
        (["fw-config", "read"], "HAILO_FW_CONTROL_FAILURE(18)", "HAILO_NOT_IMPLEMENTED(7)"),
        (
            ["sensor-config", "get-sections-info"],
            "HAILO_FW_CONTROL_FAILURE(18)",
            "HAILO_NOT_IMPLEMENTED(7)",
        ),
        (
            ["fw-control", "reset", "--reset-type", "chip"],
            "HAILO_INVALID_OPERATION(6)",
            None,
        ),
        (["fw-control", "reset", "--reset-type", "soft"], None, "HAILO_NOT_IMPLEMENTED(7)"),
        (["measure-power"], "HAILO_UNSUPPORTED_OPCODE(48)", "HAILO_OPEN_FILE_FAILURE(13)"),
        (["fw-update", "FILE"], "HAILO_INVALID_FIRMWARE(23)", "HAILO_NOT_IMPLEMENTED(7)"),
    ],
)
def test_each_line_refuses_with_its_own_status(
    play, tmp_path: Path, argv: list[str], older: str | None, newer: str | None
) -> None:
    file = tmp_path / "other.bin"
    file.write_bytes(b"no firmware")
    words = [str(file) if word == "FILE" else word for word in argv]
    for version, status in (("4.23.0", older), (NEWER, newer)):
        code, out, err = play(*words, version=version)
        assert out.splitlines()[0] == "Executing on device: 0000:01:00.0"
        if status is None:
            assert (code, out.splitlines()[1]) == (0, "Board has been reset successfully")
            continue
        assert str(code) == status.split("(")[1].rstrip(")")
        assert f"Failed to execute on device: 0000:01:00.0. status= {status}" in err
        # Without a device nothing fails.
        assert play(*words, version=version, fault="no_device") == (0, "", "")


def test_the_diagnosis_takes_a_refusal_for_a_failure_and_a_measured_rate_for_a_good_end(
    play, tmp_path: Path
) -> None:
    _, out, err = play("fw-control", "reset", "--reset-type", "chip")
    command = "$ hailortcli fw-control reset --reset-type chip"
    assert read_log([command, *out.splitlines(), *err.splitlines()]).ran().outcome != "ok"
    hef = hefs.store(tmp_path, hefs.classifier(arch="hailo10h"))
    _, out, err = play("benchmark", hef, "-t", "1", version="5.1.1")
    log = read_log([f"$ hailortcli benchmark {hef}", *err.splitlines(), *out.splitlines()])
    assert log.ran().outcome == "ok"
    assert [one.id for one in log.findings() if one.severity != "info"] == []


def test_commands_come_and_go_with_the_versions(play, tmp_path: Path) -> None:
    log = tmp_path / "fw.log"
    assert play("fw-logger", str(log))[0] == 0
    assert log.read_bytes() == b""
    assert play("logs", version="4.23.0")[0] == 109
    assert play("logs", version="5.0.0") == (0, "Executing on device: 0000:01:00.0\n", "")
    for name in ("fw-logger", "udp-rate-limiter"):
        assert play(name, "x", version="5.1.1")[0] == 109
    assert play("fw-logger", str(log), version="5.0.0")[0] == 7
    assert play("logs", version="5.1.1") == (0, "", "")
    assert play("logs", "nnc", version=NEWER) == (0, "", "")
    assert play("logs", version=NEWER, fault="no_device")[0] == 74


def test_usage_mistakes_have_cli11s_numbers(play, tmp_path: Path) -> None:
    for words in (["fw-control"], ["sensor-config"], ["fw-config"], ["fw-update"],
                  ["fw-control", "reset"], ["udp-rate-limiter"]):  # fmt: skip
        assert play(*words)[0] == 106, words
    assert play("fw-update", str(tmp_path / "none"))[0] == 105
    assert play("sensor-config", "get-config", "9", str(tmp_path / "x.csv"))[0] == 105
    assert play("udp-rate-limiter", "reset")[0] == 111
    assert play("measure-power", "--dvm", "NONE")[0] == 105


def test_no_board_behind_ethernet_can_be_limited(play) -> None:
    code, out, err = play("udp-rate-limiter", "set", "--kbit-rate", "9", "--board-ip", "10.0.0.2")
    assert code == 19
    assert out.count("HAILO_ETH_FAILURE(19); Continuing") == 16
    assert "Failed to find interface name for ip 10.0.0.2" in err
    code, out, _ = play("udp-rate-limiter", "reset", "--board-ip", "10.0.0.2", "--dport", "32401")
    assert (code, out.count("\n")) == (8, 1)


def test_monitor_shows_empty_tables_until_it_is_interrupted() -> None:
    script = image_context("emulator") / "bin" / "hailortcli"
    process = subprocess.Popen(
        [sys.executable, str(script), "monitor"],
        env=emulated_environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines = []
    while "HAILO_MONITOR" not in (line := process.stdout.readline()):
        lines.append(line)
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert rest.endswith("\033[?1049l")
    for words in (["Device ID", "Architecture"], ["FPS", "PID"], ["Frames Queue"]):
        assert any(all(word in line for word in words) for line in lines), words


@pytest.mark.parametrize(
    ("version", "chip", "status"),
    [
        ("4.23.0", "hailo8l", "unsupported opcode"),
        (NEWER, "hailo10h", "HAILO_OPEN_FILE_FAILURE"),
    ],
)
def test_our_measuring_job_says_why_there_is_no_power(
    tmp_path: Path, version: str, chip: str, status: str
) -> None:
    hef = hefs.store(tmp_path, hefs.classifier(arch=chip))
    runner = QuickRunner(HEFSMITH_EMULATED_CHIP=chip, HEFSMITH_EMULATED_HAILORT=version)
    options = BenchOptions(seconds=1, warmup=0, batches=(1,), cli=False)
    result = run_benchmark(runner, Path(hef), device="pi5", options=options)
    assert result.watts is None
    assert status in str(result.power_problem)
