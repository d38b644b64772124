"""Shipping to the embedded device: real SSH, real processes, real files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from orchestrator.device.base import DeviceSpec, Release
from orchestrator.device.connection_pool import ConnectionPool
from orchestrator.device.faults import (
    DeviceBusy,
    DeviceFull,
    DeviceLacks,
    FolderNotOurs,
    WillNotRun,
)
from orchestrator.device.preflight import check_room
from orchestrator.device.release import MARGIN, Upload, list_release
from orchestrator.device.replies import CLOSE, OPEN
from orchestrator.device.session import SshSession
from orchestrator.device.ship import ShipEvent, look, rollback, ship
from orchestrator.errors import ConfigError, DeviceError, HefsmithError

from .making import cut, make_hef, make_release


def folder_of(session: SshSession, model: str = "net") -> Path:
    return Path(str(session.home)) / ".hefsmith" / model


def test_a_shipped_release_is_current_and_equal(session: SshSession, tmp_path: Path) -> None:
    release = make_release(tmp_path)
    result = ship(session, release)
    current = folder_of(session) / "current"
    assert current.resolve().name == result.release
    for name, path in release.files.items():
        assert (current / name).read_bytes() == path.read_bytes()
    assert result.changed
    assert result.emulated
    assert {file.fate for file in result.files} == {"sent"}
    assert result.sent_bytes == sum(path.stat().st_size for path in release.files.values())
    json.dumps(result.to_json())


def test_an_unchanged_release_sends_nothing(session: SshSession, tmp_path: Path) -> None:
    release = make_release(tmp_path)
    first = ship(session, release)
    again = ship(session, release)
    assert not again.changed
    assert again.sent_bytes == 0
    assert again.release == first.release
    assert {file.fate for file in again.files} == {"kept"}
    assert look(session, "net").history == (first.release,)


def test_files_that_were_listed_for_a_fleet_are_not_read_again(
    session: SshSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = make_release(tmp_path)
    listing = list_release(release)
    monkeypatch.delattr("orchestrator.device.ship.list_release")
    result = ship(session, release, listing=listing)
    assert result.release == listing.id
    assert (folder_of(session) / "current").resolve().name == listing.id


def test_a_file_that_changed_since_it_was_listed_is_not_shipped(
    session: SshSession, tmp_path: Path
) -> None:
    release = make_release(tmp_path)
    listing = list_release(release)
    labels = release.files["labels.txt"]
    labels.write_bytes(bytes(reversed(labels.read_bytes())))
    with pytest.raises(DeviceError) as caught:
        ship(session, release, listing=listing)
    assert caught.value.code == "device.digest"
    assert look(session, "net").current is None


def test_only_what_changed_is_sent(session: SshSession, tmp_path: Path) -> None:
    release = make_release(tmp_path)
    ship(session, release)
    release.files["labels.txt"].write_text("horse\n")
    result = ship(session, release)
    assert {file.name: file.fate for file in result.files} == {
        release.hef: "linked",
        "labels.txt": "sent",
    }
    assert result.sent_bytes == len("horse\n")


@pytest.mark.slow
def test_rollback_brings_back_the_release_before(session: SshSession, tmp_path: Path) -> None:
    first = ship(session, make_release(tmp_path / "1", seed=1))
    second = ship(session, make_release(tmp_path / "2", seed=2))
    assert second.previous == first.release
    result = rollback(session, "net")
    assert (result.previous, result.release) == (second.release, first.release)
    assert look(session, "net").current == first.release
    with pytest.raises(DeviceError, match="no earlier release"):
        rollback(session, "net")


def test_a_part_of_an_earlier_upload_is_continued(session: SshSession, tmp_path: Path) -> None:
    release = make_release(tmp_path, size=400_000)
    entry = next(one for one in list_release(release).files if one.name == release.hef)
    session.ask(OPEN, model="net", wait=1, who={})
    session.ask(CLOSE)
    part = folder_of(session) / "incoming" / f"{entry.sha256}.part"
    part.write_bytes(entry.path.read_bytes()[:300_000])
    result = ship(session, release)
    sent = next(file for file in result.files if file.name == release.hef)
    assert sent.fate == "resumed"
    assert sent.sent_bytes == entry.bytes - 300_000
    assert (folder_of(session) / "current" / release.hef).read_bytes() == entry.path.read_bytes()


@pytest.mark.parametrize("part", [b"wrong content" * 100, b"x" * 500_000])
def test_a_part_that_is_no_prefix_is_sent_anew(
    session: SshSession, tmp_path: Path, part: bytes
) -> None:
    release = make_release(tmp_path)
    entry = next(one for one in list_release(release).files if one.name == release.hef)
    session.ask(OPEN, model="net", wait=1, who={})
    session.ask(CLOSE)
    (folder_of(session) / "incoming" / f"{entry.sha256}.part").write_bytes(part)
    result = ship(session, release)
    assert result.sent_bytes == result.total_bytes
    assert (folder_of(session) / "current" / release.hef).read_bytes() == entry.path.read_bytes()


@pytest.mark.slow
def test_a_file_that_changes_while_it_is_sent_never_becomes_current(
    session: SshSession, tmp_path: Path
) -> None:
    first = ship(session, make_release(tmp_path / "1", seed=1))
    release = make_release(tmp_path / "2", size=3_000_000, seed=2)
    hef = release.files[release.hef]

    def spoil(event: ShipEvent) -> None:
        if event.step == "sending" and event.done == 0:
            hef.write_bytes(b"\0" * hef.stat().st_size)

    with pytest.raises(DeviceError, match="differs from the one that was sent"):
        ship(session, release, watch=spoil)
    assert look(session, "net").current == first.release
    assert ship(session, make_release(tmp_path / "3", seed=3)).changed


def test_a_hef_for_another_chip_is_refused_before_anything_is_made(
    session: SshSession, tmp_path: Path
) -> None:
    release = make_release(tmp_path, arch="hailo8")
    with pytest.raises(WillNotRun) as refused:
        ship(session, release)
    assert int(refused.value.exit_code) == 6
    assert not folder_of(session).exists()


@pytest.mark.slow
def test_a_hef_for_the_smaller_chip_runs_on_the_larger_with_a_warning(
    pool: ConnectionPool, device: DeviceSpec, tmp_path: Path
) -> None:
    with pool.connect(replace(device, emulated_chip="hailo8")) as session:
        result = ship(session, make_release(tmp_path))
    assert result.changed
    assert result.warnings


def test_a_damaged_hef_is_refused_before_anything_is_made(
    session: SshSession, tmp_path: Path
) -> None:
    release = make_release(tmp_path)
    hef = release.files[release.hef]
    hef.write_bytes(hef.read_bytes()[:-1])
    with pytest.raises(HefsmithError) as refused:
        ship(session, release)
    assert int(refused.value.exit_code) == 6
    assert not folder_of(session).exists()


@pytest.mark.slow
def test_without_a_chip_nothing_is_sent(
    pool: ConnectionPool, device: DeviceSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEFSMITH_EMULATED_FAULT", "no_device")
    with pool.connect(device) as session:
        with pytest.raises(DeviceLacks, match="no Hailo chip answers"):
            ship(session, make_release(tmp_path))
        assert not folder_of(session).exists()


def test_a_folder_of_somebody_else_is_refused_and_left_alone(
    session: SshSession, tmp_path: Path
) -> None:
    folder_of(session).mkdir(parents=True)
    (folder_of(session) / "holiday.jpg").touch()
    with pytest.raises(FolderNotOurs, match=r"holiday\.jpg"):
        ship(session, make_release(tmp_path))
    assert [path.name for path in folder_of(session).iterdir()] == ["holiday.jpg"]


@pytest.mark.slow
def test_two_ships_at_once_never_mix(
    pool: ConnectionPool, device: DeviceSpec, tmp_path: Path
) -> None:
    with pool.connect(device) as first, pool.connect(device) as second:
        first.ask(OPEN, model="net", wait=1, who={"who": "anna@desk"})
        with pytest.raises(DeviceBusy, match="anna@desk"):
            ship(second, make_release(tmp_path), wait=0.2)
        first.ask(CLOSE)
        assert ship(second, make_release(tmp_path)).changed


@pytest.mark.slow
@pytest.mark.second_try("a real link is cut or slowed")
def test_the_lock_is_free_when_the_connection_that_held_it_is_gone(
    pool: ConnectionPool, device: DeviceSpec, tmp_path: Path
) -> None:
    first = pool.connect(device)
    first.ask(OPEN, model="net", wait=1, who={"who": "gone"})
    cut(first)
    with pool.connect(device) as second:
        assert ship(second, make_release(tmp_path), wait=15).changed
    first.close()


def test_the_steps_are_told_in_their_order(session: SshSession, tmp_path: Path) -> None:
    seen: list[str] = []

    def watch(event: ShipEvent) -> None:
        if not seen or seen[-1] != event.step:
            seen.append(event.step)

    ship(session, make_release(tmp_path), watch=watch)
    assert seen == [
        "checking", "locking", "sending", "publishing", "switching", "pruning", "done",
    ]  # fmt: skip


def test_too_little_room_is_refused_with_the_numbers(tmp_path: Path) -> None:
    (entry, *_) = list_release(make_release(tmp_path, size=5_000_000)).files
    upload = Upload(entry=replace(entry, bytes=5_000_000), fate="sent")
    check_room("pi", [upload], MARGIN + 5_000_000)
    with pytest.raises(DeviceFull, match=r"5\.0 MB must be sent"):
        check_room("pi", [upload], MARGIN + 4_999_999)
    check_room("pi", [replace(upload, arrived=True)], 0)


@pytest.mark.parametrize("name", ["../evil", "a/b", "-x", "release.json", ""])
def test_file_names_that_could_leave_the_release_are_refused(name: str, tmp_path: Path) -> None:
    hef = make_hef(tmp_path / "a.hef")
    with pytest.raises(ConfigError, match="cannot be a file name"):
        list_release(
            Release(model="net", arch="hailo8l", hef="a.hef", files={"a.hef": hef, name: hef})
        )


def test_the_id_of_a_release_is_its_content(tmp_path: Path) -> None:
    one = list_release(make_release(tmp_path / "1")).id
    assert one == list_release(make_release(tmp_path / "2")).id
    assert one != list_release(make_release(tmp_path / "3", seed=1)).id
    assert one != list_release(make_release(tmp_path / "4", model="other")).id


def test_models_do_not_touch_each_other(session: SshSession, tmp_path: Path) -> None:
    ship(session, make_release(tmp_path / "a", model="a"))
    ship(session, make_release(tmp_path / "b", model="b"))
    assert (folder_of(session, "a") / "current").exists()
    assert (folder_of(session, "b") / "current").exists()
    assert PurePosixPath(str(folder_of(session, "a"))).name == "a"
