"""Which compiler goes with which HailoRT, against the vendor's own pairings."""

from __future__ import annotations

import pytest
from hefsmith_worker.contract.chips import plain_name, runs_on

from orchestrator.toolchain.versions import (
    RELEASES,
    Version,
    archive_name,
    compiler_of_runtime,
    fits,
    highest_header,
    line_of_chip,
    parse_version,
    release_for,
    runtime_of_compiler,
)

#: Model Zoo changelogs: compiler and HailoRT of each release.
PAIRS = {
    "3.24.0": "4.14.0", "3.25.0": "4.15.0", "3.26.0": "4.16.0", "3.27.0": "4.17.0",
    "3.28.0": "4.18.0", "3.29.0": "4.19.0", "3.30.0": "4.20.0", "3.31.0": "4.21.0",
    "3.32.0": "4.22.0", "3.33.0": "4.23.0", "3.33.1": "4.23.0", "3.34.0": "4.24.0",
    "5.0.0": "5.0.0", "5.1.0": "5.1.0", "5.2.0": "5.2.0", "5.4.0": "5.4.0",
}  # fmt: skip


def version(text: str) -> Version:
    found = parse_version(text)
    assert found is not None
    return found


@pytest.mark.parametrize(("dfc", "hailort"), PAIRS.items())
def test_the_rule_gives_every_pair_of_the_changelogs(dfc: str, hailort: str) -> None:
    runtime = runtime_of_compiler(version(dfc))
    assert runtime is not None
    assert (runtime.major, runtime.minor) == (version(hailort).major, version(hailort).minor)
    back = compiler_of_runtime(version(hailort))
    assert back is not None
    assert (back.major, back.minor) == (version(dfc).major, version(dfc).minor)


def test_every_known_release_follows_the_rule() -> None:
    for release in RELEASES:
        assert runtime_of_compiler(release.dfc) == release.hailort, release.name


@pytest.mark.parametrize(
    ("dfc", "hailort", "ok"),
    [
        ("3.30.0", "4.20.0", True),
        ("3.30.0", "4.23.0", True),  # older compiler, newer runtime
        ("3.33.1", "4.20.0", False),  # reported: invalid application count
        ("3.33.1", "4.23.0", True),
        ("3.33.0", "5.2.0", False),  # other line
        ("5.2.0", "4.23.0", False),
        ("5.1.0", "5.1.1", True),
        ("5.2.0", "5.1.1", False),
    ],
)
def test_an_older_compiler_fits_a_newer_runtime_of_its_line_only(
    dfc: str, hailort: str, ok: bool
) -> None:
    fit = fits(version(dfc), version(hailort))
    assert fit.ok is ok
    assert dfc.rsplit(".", 1)[0] in fit.why


def test_a_refusal_names_the_header_that_the_old_runtime_cannot_read() -> None:
    assert "version 2" in fits(version("3.33.0"), version("4.20.0")).why
    assert [highest_header(version(v)) for v in ("4.17.0", "4.20.0", "4.21.0", "5.2.0")] == [
        1,
        2,
        3,
        3,
    ]


@pytest.mark.parametrize(
    ("arch", "line"),
    [
        ("hailo8", 3),
        ("hailo8l", 3),
        ("hailo8r", 3),
        ("hailo10h", 5),
        ("hailo15l", 5),
        ("hailo9", None),
    ],
)
def test_each_chip_belongs_to_one_line(arch: str, line: int | None) -> None:
    assert line_of_chip(arch) == line


@pytest.mark.parametrize(
    ("line", "hailort", "name"),
    [
        (3, "4.20.0", "hailo_ai_sw_suite_2025-01_docker.zip"),
        (3, "4.23.0", "hailo8_ai_sw_suite_2025-10_docker.zip"),
        (5, "5.2.0", "hailo_ai_sw_suite_2026-01_docker.zip"),
        (5, None, "hailo_ai_sw_suite_2026-08_docker.zip"),
    ],
)
def test_the_release_for_a_device_has_the_name_of_the_download(
    line: int, hailort: str | None, name: str
) -> None:
    release = release_for(3 if line == 3 else 5, parse_version(hailort))
    assert release is not None
    assert archive_name(release) == name


def test_a_runtime_older_than_every_known_release_has_none() -> None:
    assert release_for(3, version("4.10.0")) is None
    assert release_for(5, version("4.23.0")) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("v3.33.0", (3, 33, 0)),
        ("4.23.0-1", (4, 23, 0)),
        ("5.2", (5, 2, 0)),
        ("none", None),
        (None, None),
    ],
)
def test_versions_are_read_out_of_any_text(
    text: str | None, expected: tuple[int, ...] | None
) -> None:
    found = parse_version(text)
    assert (None if found is None else (found.major, found.minor, found.patch)) == expected


@pytest.mark.parametrize(
    ("written", "chip"),
    [("HAILO8L", "hailo8l"), ("Hailo-8", "hailo8"), ("hailo_10h", "hailo10h"), ("MARS", "hailo12l"),
     ("pluto", "hailo15l"), ("mercury", "hailo15h"), ("tpu", "tpu")],
)  # fmt: skip
def test_a_chip_is_known_by_the_names_that_people_and_tools_give_it(
    written: str, chip: str
) -> None:
    assert plain_name(written) == chip


def test_a_small_chips_hef_runs_on_its_bigger_sister_and_not_the_other_way() -> None:
    assert runs_on("hailo8l", "hailo8")
    assert not runs_on("hailo8", "hailo8l")
    assert runs_on("hailo15h", "hailo10h")
    assert not runs_on("hailo8", "hailo10h")


@pytest.mark.parametrize(
    ("line", "hailort", "name"),
    [(3, "4.20.0", "2025-01"), (3, "4.19.0", "2024-10"), (3, "4.17.0", "2024-04"),
     (3, "4.14.0", "2023-07"), (3, "4.23.0", "2025-10"), (5, "5.1.1", "2025-10"),
     (5, "5.2.0", "2026-01"), (5, "5.3.0", "2026-01"), (3, None, "2026-07"), (5, None, "2026-08")],
)  # fmt: skip
def test_every_hailort_that_a_pi_may_have_has_a_release_to_name(
    line: int, hailort: str | None, name: str
) -> None:
    found = release_for(line, parse_version(hailort))  # type: ignore[arg-type]
    assert found is not None
    assert found.name == name
