"""A line that closes a failed step tells what stands before it and is known to none."""

from __future__ import annotations

from orchestrator.diagnose.log_reader import read_log

BUILD = (
    "Building wheels for collected packages: zorb",
    "  error: zorb table has no slot 7",
    "  error: subprocess-exited-with-error",
    "  ERROR: Failed building wheel for zorb",
)


def told(*lines: str) -> str:
    """Return the cause that is asserted."""
    return next(one.cause for one in read_log(lines).findings() if one.severity == "fatal")


def test_the_line_that_says_most_is_repeated() -> None:
    assert "and that failed: error: zorb table has no slot 7. Mostly" in told(*BUILD)


def test_what_only_passes_a_failure_on_is_not() -> None:
    assert "and that failed; the reason stands above. Mostly" in told(BUILD[0], *BUILD[2:])


def test_a_line_of_long_ago_is_not() -> None:
    quiet = (f"copying zorb/part_{number}.py -> build/lib/zorb" for number in range(450))
    assert "zorb table" not in told(BUILD[1], *quiet, *BUILD[2:])


def test_a_module_of_another_maker_shows_what_its_build_printed() -> None:
    said = told(
        "zorb.c:7:1: error: zorb_slot_t is a thing of the past",
        "Error! Bad return status for module build on kernel: 6.12.47 (aarch64)",
    )
    assert "(here: zorb.c:7:1: error: zorb_slot_t is a thing of the past)" in said


def test_the_pictures_of_a_preview_are_no_success_of_the_chip() -> None:
    camera = [
        "pi@pi:~ $ rpicam-hello -t 0 --post-process-file hailo.json",
        "[0:01:01.1] [1801]  INFO Camera camera_manager.cpp:326 libcamera v0.5.0+59-d83ff0a4",
    ]
    refused = (
        "[HailoRT] [error] HEF format is not compatible with device. "
        "Device arch: HAILO8L, HEF arch: HAILO8"
    )
    pictures = ["#0 (0.00 fps) exp 9999.00 ag 1.12 dg 1.00", "#1 (30.00 fps) exp 9999.00 ag 1.1"]
    told = read_log([*camera, refused, *pictures])
    assert [one.severity for one in told.findings() if one.id == "R01"] == ["fatal"]
    assert told.ran().outcome == "failed"
    # Where nothing of HailoRT's failed, pictures are what was wanted.
    assert read_log([*camera, *pictures]).ran().outcome == "ok"
