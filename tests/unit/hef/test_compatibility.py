"""Where a HEF runs: chips, header versions, extensions, lines and strict versions of HailoRT."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.errors import ConfigError
from orchestrator.hef import (
    Compatibility,
    check_compatibility,
    examine_hef,
    read_hef,
    write_emulated_hef,
)
from tests.fuzz.hef.seeds import networks
from tests.unit.hef.building import hef_message, legacy, pack


def judge(
    chip: str, hailort: str | None = None, *, version: int = 1, arch: int = 1, **more: Any
) -> Compatibility:
    message = hef_message(arch=arch, **more)
    return check_compatibility(
        read_hef(pack(message.SerializeToString(), version)), chip=chip, hailort=hailort
    )


def codes(answer: Compatibility) -> list[tuple[str, int | None]]:
    return [(reason.code, reason.status) for reason in answer.refusals]


@pytest.mark.parametrize(
    ("arch", "chip", "old", "new"),
    [
        (0, "HAILO8", False, True),
        (1, "HAILO8", True, True),
        (2, "HAILO8", True, True),
        (3, "HAILO8", True, True),
        (3, "HAILO8L", True, True),
        (1, "HAILO8L", False, False),
        (103, "HAILO10H", True, True),
        (103, "HAILO15H", True, True),
        (103, "HAILO8", False, False),
        (4, "HAILO15H", True, True),
        (4, "HAILO10H", True, True),
        (103, "HAILO15M", False, False),
        (6, "HAILO15L", True, True),
        (106, "HAILO15L", True, True),
        (108, "HAILO12L", False, True),
        (100, "HAILO8_A0", False, True),
        (101, "HAILO8", False, True),
        (999, "HAILO8", False, False),
    ],
)
def test_the_table_of_chips_is_that_of_each_line(
    arch: int, chip: str, old: bool, new: bool
) -> None:
    def taken(hailort: str | None) -> bool:
        return "chip" not in {reason.code for reason in judge(chip, hailort, arch=arch).refusals}

    assert taken("4.21.0") == old or chip == "HAILO12L"
    assert taken("5.2.0") == new
    assert taken(None) == new


@pytest.mark.parametrize(
    ("chip", "arch", "hailort", "runs"),
    [
        ("HAILO8L", 3, "5.3.0", False),
        ("HAILO8", 1, "5.0.0", False),
        ("HAILO8R", 2, "5.2.0", False),
        ("HAILO8L", 3, "4.23.0", True),
        ("HAILO10H", 103, "4.20.0", False),
        ("HAILO10H", 103, "5.2.0", True),
        ("HAILO12L", 108, "4.23.0", False),
        ("HAILO15H", 103, "4.20.0", True),
    ],
)
def test_each_line_of_hailort_drives_its_own_cards(
    chip: str, arch: int, hailort: str, runs: bool
) -> None:
    answer = judge(chip, hailort, arch=arch)
    assert answer.runs == runs
    told = [reason for reason in answer.refusals if reason.code == "driver-line"]
    assert bool(told) is not runs
    if told:
        assert f"has no driver for {chip}" in told[0].message
        assert ("hailo-all" if chip.startswith("HAILO8") else "hailo-h10-all") in str(told[0].hint)


def test_an_8l_file_runs_slower_on_a_hailo8_and_never_the_other_way() -> None:
    answer = judge("hailo8", "4.21.0", arch=3)
    assert answer.runs
    assert [reason.code for reason in answer.warnings] == ["slower"]
    answer = judge("HAILO8L", "4.23.0", arch=1)
    assert codes(answer) == [("chip", 93)]
    assert answer.refusals[0].hint is not None
    assert "hailo8l" in answer.refusals[0].hint
    assert codes(judge("HAILO8L", "4.20.0", arch=1)) == [("chip", 26)]


@pytest.mark.parametrize(
    ("version", "hailort", "refusal"),
    [
        (0, "4.17.0", None),
        (1, "4.17.0", None),
        (2, "4.19.0", 26),
        (2, "4.20.0", None),
        (3, "4.20.1", 26),
        (3, "4.21.0", None),
        (3, "5.2.0", None),
    ],
)
def test_each_hailort_understands_header_versions_up_to_its_own(
    version: int, hailort: str, refusal: int | None
) -> None:
    answer = judge("HAILO8" if hailort < "5" else "HAILO15H", hailort, version=version,
                   arch=1 if hailort < "5" else 103)  # fmt: skip
    assert codes(answer) == ([] if refusal is None else [("header-version", refusal)])


@pytest.mark.parametrize(
    ("extension", "hailort", "status"),
    [(31, "4.20.0", 26), (31, "4.21.0", None), (33, "5.0.0", 92), (33, "5.1.0", None)],
)
def test_extensions_need_a_hailort_that_has_them(
    extension: int, hailort: str, status: int | None
) -> None:
    chip, arch = ("HAILO8", 1) if hailort < "5" else ("HAILO15H", 103)
    answer = judge(chip, hailort, arch=arch, extensions=(26, extension))
    assert codes(answer) == ([] if status is None else [("extension", status)])


def test_files_for_hailo10_and_15_need_the_5_line_since_4_22() -> None:
    assert judge("HAILO15H", "4.21.0", arch=103).runs
    assert codes(judge("HAILO15H", "4.23.0", arch=103)) == [("line", 93)]


def test_strict_files_run_under_the_hailort_of_their_compiler_only() -> None:
    message = hef_message(arch=103, extensions=(26, 35))
    message.header.sdk_version.major, message.header.sdk_version.minor = 5, 1
    hef = read_hef(pack(message.SerializeToString()))
    assert check_compatibility(hef, chip="HAILO10H", hailort="5.1.9").runs
    answer = check_compatibility(hef, chip="HAILO10H", hailort="5.2.0")
    assert codes(answer) == [("strict-version", 26)]


def test_a_damaged_file_runs_nowhere() -> None:
    data = bytearray(pack(legacy()[0].SerializeToString(), 3, b"weights", proto_hash=True))
    data[-1] ^= 1
    hef = examine_hef(bytes(data)).hef
    assert hef is not None
    assert codes(check_compatibility(hef, chip="HAILO8", hailort="4.23.0")) == [("damaged", 91)]


def test_an_emulated_file_runs_on_a_stand_in_only() -> None:
    data = write_emulated_hef(networks()["plain"], arch="hailo8l", resources={"g": b"x"})
    hef = read_hef(data)
    assert codes(check_compatibility(hef, chip="hailo8l", hailort="4.23.0")) == [("emulated", None)]
    assert check_compatibility(hef, chip="hailo8l", hailort="4.23.0", emulated_device=True).runs
    # the stand-in keeps the rules of the HailoRT that it plays
    old = check_compatibility(hef, chip="hailo8l", hailort="4.20.0", emulated_device=True)
    assert [code for code, _ in codes(old)] == ["header-version", "extension"]


def test_a_real_file_on_a_stand_in_and_a_newer_compiler_are_warned_of() -> None:
    message, _ = legacy()
    hef = read_hef(pack(message.SerializeToString()))
    answer = check_compatibility(hef, chip="HAILO8", hailort="4.20.0", emulated_device=True)
    assert {reason.code for reason in answer.warnings} == {"not-emulated", "newer-compiler"}
    assert answer.runs


def test_an_unknown_hailort_is_judged_like_the_nearest_known_and_says_so() -> None:
    for hailort, known in (("6.0.0", "5.2"), ("4.14.0", "4.17")):
        answer = judge("HAILO8", hailort, version=0)
        assert known in answer.warnings[0].message


@pytest.mark.parametrize("chip", ["HAILO9", "", "hailo8x", "\x1b[2J"])
def test_an_unknown_chip_is_a_usage_error(chip: str) -> None:
    with pytest.raises(ConfigError, match="chip"):
        judge(chip)


@pytest.mark.parametrize("hailort", ["", "4", "latest", "4.20.x", "4.20.0.1"])
def test_an_unreadable_version_is_a_usage_error(hailort: str) -> None:
    with pytest.raises(ConfigError, match="version"):
        judge("HAILO8", hailort)


def test_a_chip_that_nobody_knows_is_told_by_its_number() -> None:
    for hailort in ("5.2.0", None):
        (reason,) = judge("HAILO10H", hailort, arch=5, version=1).refusals
        assert "does not know (architecture 5)" in reason.message
        assert reason.hint is not None
        assert "hailo10h" in reason.hint
        assert "UNKNOWN" not in reason.message + reason.hint
    assert judge("HAILO15H", "5.0.0", arch=5).runs
    (reason,) = judge("HAILO15H", "4.23.0", arch=5).refusals
    assert "architecture 5 needs 5.x" in reason.message


def emulated_file() -> Any:
    return read_hef(write_emulated_hef(networks()["ssd"], arch="hailo8l", resources={}))


@pytest.mark.parametrize(
    ("answer", "begins"),
    [
        (judge("HAILO8L", "4.20.0", version=3, arch=103), "chip"),
        (judge("HAILO10H", "4.20.0", version=3, arch=103), "driver-line"),
        (check_compatibility(emulated_file(), chip="HAILO8L", hailort="4.20.0"), "emulated"),
    ],
)
def test_no_update_is_advised_that_would_not_help(answer: Compatibility, begins: str) -> None:
    assert answer.first.code == begins
    assert answer.first.hint
    assert "header-version" in {reason.code for reason in answer.refusals}
    for reason in answer.refusals:
        assert "update HailoRT" not in str(reason.hint), reason


def test_an_update_that_helps_is_advised() -> None:
    answer = judge("HAILO8L", "4.20.0", version=3, arch=3)
    assert answer.first.code == "header-version"
    assert "update HailoRT on the device to 4.21" in str(answer.first.hint)
