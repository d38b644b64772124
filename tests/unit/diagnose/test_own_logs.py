"""Logs that Hailo's programs write of themselves: hailo_sdk.client.log, hailort.log, reports."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from orchestrator.diagnose.explain import explain_logs
from orchestrator.diagnose.log_reader import read_log

if TYPE_CHECKING:
    from pathlib import Path

AT = "2026-01-15 01:40:50,7"
PARAM = "ParsedPerformanceParam command, setting optimization_level(max=2)"


def build(number: int, *more: str) -> list[str]:
    """Return an optimisation as hailo_sdk.client.log keeps it, with ``more`` behind its start."""
    return [
        f"{AT}{number}0 - INFO - commands.py:4270 - {PARAM}",
        f"{AT}{number}1 - IMPORTANT - sdk_backend.py:1133 - Starting Model Optimization",
        *(f"{AT}{number}2 - {line}" for line in more),
        f"{AT}{number}3 - INFO - algorithm_base.py:149 - Bias Correction skipped",
        f"{AT}{number}4 - IMPORTANT - sdk_backend.py:1145 - Model Optimization is done",
    ]


REDUCED = (
    "WARNING - mo_config.py:168 - Reducing optimization level to 0 (the accuracy won't be optimized"
    " and compression won't be used) because there's less data than the recommended amount"
    " (1024), and there's no available GPU"
)
LOWERED = (
    REDUCED,
    "INFO - stats_collection.py:89 - Using dataset with 33 entries for calibration",
)
TUNED = (
    "INFO - stats_collection.py:89 - Using dataset with 64 entries for calibration",
    "INFO - algorithm_base.py:168 - Model Optimization Algorithm Fine-Tuning is done (completion)",
)


def test_the_compilers_own_level_is_none_of_the_optimisation() -> None:
    assert read_log(build(1)[:1]).ran().level_run is None
    ran = read_log(build(1, *LOWERED)).ran()
    assert (ran.level_run, ran.level_asked) == (0, None)


def test_steps_that_were_skipped_are_read_behind_the_place_in_the_code() -> None:
    ran = read_log(build(1, *LOWERED)).ran()
    assert ran.skipped == ("Bias Correction",)
    assert (ran.step, ran.step_done) == ("Model Optimization", True)


def test_each_build_of_one_log_has_its_own_level_and_number_of_images() -> None:
    log = read_log([*build(1, *LOWERED), *build(2, *TUNED)])
    assert (log.ran().level_run, log.ran().images_used) == (2, 64)
    causes = {one.id: one.cause for one in log.findings()}
    assert "dropped to 0" in causes["O01"]
    assert "33 images" in causes["C09"]
    assert read_log([*build(1, *TUNED), *build(2, *LOWERED)]).ran().level_run == 0


NO_GPU = "[info] No GPU chosen and no suitable GPU found, falling back to CPU."
PARSED = [
    "[info] Translation started on ONNX model digits",
    "[info] Translation completed on ONNX model digits (completion time: 00:00:00.77)",
    "[info] Saved HAR to: /work/digits.har",
]


def test_that_no_gpu_was_chosen_is_told_only_where_something_was_optimised() -> None:
    def told(*lines: str) -> bool:
        return any(one.id == "O02" for one in read_log([NO_GPU, *lines]).findings())

    denied = "PermissionError: [Errno 13] Permission denied: '/local/workspace/bin/hailo_auto'"
    assert told()
    assert told(PARSED[0])  # the rest of the log may be cut off
    assert told(*PARSED, "[info] Starting Model Optimization")
    assert not told(*PARSED)
    assert not told("Traceback (most recent call last):", denied)


HEAD = "[2026-08-13 19:16:55.521] [188256] [HailoRT]"
NOT_THERE = [
    f"{HEAD} [error] [file_utils.cpp:40] [read] CHECK failed - Error opening file a.hef",
    f"{HEAD} [error] [hef.cpp:525] [parse] CHECK failed with HAILO_OPEN_FILE_FAILURE(13)",
    f"{HEAD} [error] [hef.cpp:1002] [Impl] Failed parsing HEF file",
]
#: A later run of the same program, as its command shows it.
WELL = [
    "$ hailortcli run a.hef",
    f"{HEAD} [info] [vdevice.cpp:749] [configure] Configuring HEF on VDevice took 17 ms",
    "FPS     (hw_only)                 = 64.2292",
]


def test_a_hef_that_was_not_there_is_not_told_as_damaged_after_it_came() -> None:
    told = {
        one.id: one for one in read_log(["$ hailortcli run a.hef", *NOT_THERE, *WELL]).findings()
    }
    assert "R80" in told
    assert "H03" not in told


ABORTED = [
    f"{HEAD} [info] [async_infer_runner.cpp:86] [shutdown] Pipeline was aborted. Shutting it down",
    f"{HEAD} [info] [queue_elements.cpp:450] [create] Created (PushQEl0a | timeout: 10s)",
]


def test_what_hailort_only_informs_of_is_no_line_that_matters() -> None:
    assert read_log(ABORTED).notable() == []
    bad = f"{HEAD} [error] [a.cpp:1] [b] The frame was lost"
    assert [one[0] for one in read_log([*ABORTED, bad]).notable()] == [3]


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_log_whose_end_is_zeros_since_the_power_was_cut_is_read(tmp_path: Path, end: str) -> None:
    log = tmp_path / "hailort.log"
    log.write_bytes(("\n".join([*NOT_THERE, HEAD]) + end).encode() + bytes(3474))
    read = explain_logs([log], io.BytesIO())
    assert not read.strange
    assert [one.id for one in read.findings if one.severity == "fatal"] == ["R80"]
    log.write_bytes(bytes(4096))
    read = explain_logs([log], io.BytesIO())
    assert (read.strange, read.empty) == (True, False)


def test_a_message_of_a_logger_continues_none_before_it() -> None:
    asked = "INFO: 10.0.0.28 - OPTIONS /api/deploy 200, where can I, received by the web server 1"
    shown = "2026-08-18 04:19:43,626 - worker - INFO - Building libyolov8s_pose_post.so"
    assert "R1854" not in {one.id for one in read_log([asked, shown]).findings()}
