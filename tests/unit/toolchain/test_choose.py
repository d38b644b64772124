"""From chip and device to a toolchain, or to the sentence that says what to download."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.errors import ConfigError
from orchestrator.toolchain import lock, registry
from orchestrator.toolchain.choose import NoToolchainError, choose
from orchestrator.toolchain.gpu import (
    CPU_ENVIRONMENT,
    NO_RUNTIME,
    GpuError,
    Probe,
    decide,
    needs_probe,
    understand,
)
from orchestrator.toolchain.registry import ImportedToolchain
from orchestrator.toolchain.suite import describe
from orchestrator.toolchain.versions import Version


def toolchain(dfc: str, *, image: str | None = None, name: str | None = None) -> ImportedToolchain:
    return ImportedToolchain(
        name=name or f"suite-{dfc}",
        kind="suite",
        engine="unix:///var/run/docker.sock",
        image=image or f"sha256:{dfc.replace('.', ''):0>64}",
        python="/local/workspace/hailo_virtualenv/bin/python",
        versions={"dfc": dfc, "python": "3.10.12"},
        venv="/local/workspace/hailo_virtualenv",
    )


OLD, NEW, TEN = toolchain("3.30.0"), toolchain("3.33.0"), toolchain("5.2.0")


def test_the_newest_toolchain_that_the_device_can_load_is_taken() -> None:
    known = [OLD, NEW, TEN]
    assert choose("hailo8l", known).toolchain is NEW
    assert choose("hailo8l", known, hailort=Version(4, 23)).toolchain is NEW
    assert choose("hailo8l", known, hailort=Version(4, 22)).toolchain is OLD
    assert choose("hailo10h", known, hailort=Version(5, 2)).toolchain is TEN


def test_without_the_line_the_release_and_the_login_are_named() -> None:
    with pytest.raises(NoToolchainError) as caught:
        choose("hailo10h", [OLD, NEW], hailort=Version(5, 2, 0))
    assert "5.x line" in caught.value.message
    assert "2026-01" in str(caught.value.hint)
    assert "own login" in str(caught.value.hint)
    assert caught.value.exit_code == 2


def test_a_chip_that_came_later_needs_a_compiler_that_knows_it() -> None:
    before = toolchain("5.0.0")
    assert "hailo12l" in TEN.chips
    assert "hailo12l" not in before.chips
    assert choose("hailo12l", [before, TEN]).toolchain is TEN
    assert choose("hailo10h", [before]).toolchain is before
    with pytest.raises(NoToolchainError, match=r"from 5\.1 on"):
        choose("hailo12l", [before])
    with pytest.raises(NoToolchainError, match="cannot compile for hailo12l"):
        choose("hailo12l", [before, TEN], named=before)


def test_a_compiler_that_is_too_new_is_refused_with_both_versions() -> None:
    with pytest.raises(NoToolchainError) as caught:
        choose("hailo8l", [NEW], hailort=Version(4, 20, 0))
    assert "3.33.0" in caught.value.message
    assert "4.20.0" in caught.value.message
    assert "hailo_ai_sw_suite_2025-01_docker.zip" in str(caught.value.hint)


def test_a_device_of_the_other_line_is_not_answered_with_a_download() -> None:
    with pytest.raises(NoToolchainError) as caught:
        choose("hailo8l", [NEW], hailort=Version(5, 2))
    assert "identify" in str(caught.value.hint)


def test_an_unknown_chip_lists_the_known_ones() -> None:
    with pytest.raises(NoToolchainError, match="hailo9") as caught:
        choose("hailo9", [NEW])
    assert "hailo8l" in str(caught.value.hint)


def test_a_name_goes_first_and_is_warned_about_when_it_may_not_load() -> None:
    choice = choose("hailo8l", [OLD, NEW], hailort=Version(4, 20), named=NEW)
    assert choice.toolchain is NEW
    assert "4.20.0" in choice.warnings[0]
    with pytest.raises(NoToolchainError, match="cannot compile for hailo8l"):
        choose("hailo8l", [TEN], named=TEN)


def test_the_pinned_image_is_taken_even_when_a_newer_one_is_there(tmp_path: Path) -> None:
    lock.write_pin(tmp_path, OLD)
    pin = lock.read_lock(tmp_path)[3]
    assert choose("hailo8l", [NEW, OLD], pin=pin).toolchain is OLD


def test_a_teammate_with_another_image_gets_the_difference(tmp_path: Path) -> None:
    lock.write_pin(tmp_path, OLD)
    pin = lock.read_lock(tmp_path)[3]
    with pytest.raises(NoToolchainError) as caught:
        choose("hailo8l", [NEW], pin=pin)
    hint = str(caught.value.hint)
    assert "dfc: 3.30.0 in the lock, 3.33.0 here" in hint
    assert "hef toolchain use" in hint


def test_two_images_with_the_same_versions_still_differ() -> None:
    pin = lock.Pin("sha256:" + "a" * 64, dict(NEW.versions), "suite-3.33.0")
    said = lock.difference(pin, NEW)
    assert said is not None
    assert "the images are not" in said
    assert lock.difference(lock.Pin(NEW.image, {}, "x"), NEW) is None


def test_the_same_archive_is_the_pinned_image_whatever_id_the_engine_gave_it(
    tmp_path: Path,
) -> None:
    # Docker's old image store and containerd's count an image's id differently.
    mine = replace(NEW, image="sha256:" + "1" * 64, content="sha256:same")
    theirs = replace(NEW, image="sha256:" + "2" * 64, content="sha256:same")
    lock.write_pin(tmp_path, mine)
    pin = lock.read_lock(tmp_path)[3]
    assert lock.difference(pin, theirs) is None
    assert choose("hailo8l", [OLD, theirs], pin=pin).toolchain is theirs
    assert mine.identity() == theirs.identity(), "finished stages stay finished"
    other = replace(theirs, content="sha256:other")
    assert lock.difference(pin, other) is not None
    # Neither old records nor old locks have the digest: then the id alone decides.
    unknown = replace(theirs, content="")
    assert lock.difference(lock.Pin(NEW.image, {}, "x"), unknown) is not None


def test_a_lock_keeps_one_pin_for_each_line_and_can_be_emptied(tmp_path: Path) -> None:
    lock.write_pin(tmp_path, NEW)
    lock.write_pin(tmp_path, TEN)
    assert set(lock.read_lock(tmp_path)) == {3, 5}
    lock.remove_pins(tmp_path)
    assert lock.read_lock(tmp_path) == {}


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"schema": 2}', '{"schema": 1, "toolchains": {"4": {}}}']
)
def test_a_damaged_lock_is_an_error_that_names_the_file(tmp_path: Path, text: str) -> None:
    (tmp_path / lock.NAME).write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"hef\.lock"):
        lock.read_lock(tmp_path)


def test_records_last_and_are_found_by_name_or_digest() -> None:
    registry.save(OLD)
    registry.save(NEW)
    assert [one.name for one in registry.load_all()] == ["suite-3.33.0", "suite-3.30.0"]
    assert registry.find("suite-3.30.0") == OLD
    assert registry.find(NEW.image) == NEW
    with pytest.raises(ConfigError, match="not imported"):
        registry.find("nothing")


def test_importing_the_same_image_again_renews_the_record() -> None:
    first = registry.save(NEW)
    again = registry.save(toolchain("3.33.0", name="another"))
    assert again.name == first.name
    assert len(registry.load_all()) == 1


def test_another_image_of_the_same_version_gets_a_name_of_its_own() -> None:
    registry.save(NEW)
    other = registry.save(toolchain("3.33.0", image="sha256:" + "b" * 64))
    assert other.name == "suite-3.33.0-bbbbbbbb"
    assert len(registry.load_all()) == 2


def test_a_damaged_record_is_an_error_that_names_the_file() -> None:
    registry.save(NEW)
    path = registry.folder() / "suite-3.33.0.json"
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"suite-3\.33\.0\.json"):
        registry.load_all()


def test_a_name_from_outside_cannot_leave_the_folder() -> None:
    saved = registry.save(toolchain("3.33.0", name="../../etc/passwd"))
    assert (registry.folder() / f"{saved.name}.json").is_file()
    assert "/" not in saved.name


def test_a_run_gets_the_user_the_compiler_reads_and_its_own_interpreter_first() -> None:
    described = describe(NEW)
    assert described.image == NEW.image
    assert described.env["USER"]
    assert described.env["HOME"] == "/tmp"
    assert described.env["PATH"].startswith("/local/workspace/hailo_virtualenv/bin:")
    assert described.env["CUDA_VISIBLE_DEVICES"] == ""
    assert not described.gpus
    assert described.identity["image"] == NEW.image


GPU = Probe(True, "TensorFlow in the container sees it", "GPU 0: NVIDIA RTX 4060")


def test_a_gpu_that_works_is_named_so_that_the_optimiser_takes_it() -> None:
    decision = decide("auto", ("runc", "nvidia"), GPU)
    assert decision.use
    assert decision.environment["CUDA_VISIBLE_DEVICES"] == "0"
    assert decision.environment["NVIDIA_DISABLE_REQUIRE"] == "1"
    assert decide("on", ("runc",), GPU).use


@pytest.mark.parametrize(
    ("wish", "runtimes", "usable", "why", "again"),
    [
        ("auto", ("nvidia",), True, "seen", False),
        ("auto", ("nvidia",), None, "not tried", True),
        ("auto", ("nvidia",), False, NO_RUNTIME, True),
        ("auto", ("nvidia",), False, "no driver", False),
        ("on", ("nvidia",), False, "no driver", True),
        ("on", ("runc",), None, "not tried", True),
        ("auto", ("runc",), None, "not tried", False),
        ("off", ("nvidia",), None, "not tried", False),
    ],
)
def test_an_old_answer_about_the_gpu_is_asked_again(  # type: ignore[no-untyped-def]
    wish, runtimes, usable, why, again
) -> None:
    assert needs_probe(wish, runtimes, usable, why) is again


@pytest.mark.parametrize(
    ("wish", "runtimes", "probe"),
    [
        ("off", ("nvidia",), GPU),
        ("auto", ("runc",), GPU),
        ("auto", ("nvidia",), Probe(False, "no driver")),
        ("auto", ("nvidia",), None),
    ],
)
def test_without_a_usable_gpu_the_cpu_is_stated(wish, runtimes, probe) -> None:  # type: ignore[no-untyped-def]
    decision = decide(wish, runtimes, probe)
    assert not decision.use
    assert decision.environment == CPU_ENVIRONMENT
    assert decision.why


def test_a_gpu_that_was_asked_for_and_does_not_work_is_an_error() -> None:
    with pytest.raises(GpuError, match="no driver") as caught:
        decide("on", ("nvidia",), Probe(False, "no driver"))
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("answer", "usable", "words"),
    [
        (
            {
                "tensorflow": True,
                "gpus": ["/physical_device:GPU:0"],
                "cards": ["GPU 0: RTX (UUID: x)"],
            },
            True,
            "sees it",
        ),
        (
            {"tensorflow": True, "gpus": [], "cards": ["GPU 0: RTX (UUID: x)"]},
            False,
            "cannot use it",
        ),
        ({"tensorflow": True, "gpus": [], "cards": []}, False, "sees no GPU"),
        (
            {"tensorflow": False, "gpus": [], "why": "TensorFlow is not in this image"},
            False,
            "not in this image",
        ),
        (None, False, "did not start"),
    ],
)
def test_a_probe_is_understood_in_words(answer, usable, words) -> None:  # type: ignore[no-untyped-def]
    probe = understand(answer, "")
    assert probe.usable is usable
    assert words in probe.why
