"""The folder on the device: what holds at every moment, whatever kills the process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from orchestrator.device.agent.files import Refused, safe_name
from orchestrator.device.agent.store import ReleaseStore, release_id, releases_in_use

from .die_everywhere import WHO, back, bring, record_of

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).with_name("die_everywhere.py")


def die_everywhere(folder: Path, stride: int) -> dict[str, dict[str, object]]:
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(folder), str(stride)],
        capture_output=True, text=True, timeout=280, check=True,
    )  # fmt: skip
    found: dict[str, dict[str, object]] = json.loads(done.stdout)
    return found


def test_current_is_whole_after_death_at_any_eleventh_file_operation(tmp_path: Path) -> None:
    found = die_everywhere(tmp_path, 11)
    assert found["ship"]["wrong"] == []
    assert found["back"]["wrong"] == []
    assert int(str(found["ship"]["deaths"])) > 10


@pytest.mark.engine
def test_current_is_whole_after_death_at_every_file_operation(tmp_path: Path) -> None:
    found = die_everywhere(tmp_path, 1)
    assert found["ship"]["wrong"] == []
    assert found["back"]["wrong"] == []
    assert int(str(found["ship"]["deaths"])) > 100


@pytest.fixture
def store(tmp_path: Path) -> ReleaseStore:
    return ReleaseStore(tmp_path / ".hefsmith", "net")


def ids(*numbers: int) -> list[str]:
    return [release_id(record_of(number)[0]) for number in numbers]


def ship(store: ReleaseStore, *numbers: int, keep: int = 5) -> None:
    for number in numbers:
        bring(store, number, keep=keep)
        store.lock.release()


def roll_back(store: ReleaseStore) -> None:
    try:
        back(store)
    finally:
        store.lock.release()


def test_rollback_goes_back_one_by_one_and_a_new_ship_starts_from_there(
    store: ReleaseStore,
) -> None:
    ship(store, 1, 2, 3)
    one, two, three, four = ids(1, 2, 3, 4)
    assert store.current() == three
    roll_back(store)
    assert store.current() == two
    roll_back(store)
    assert store.current() == one
    with pytest.raises(Refused, match="no earlier release"):
        roll_back(store)
    assert store.current() == one
    ship(store, 4)
    assert store.current() == four
    roll_back(store)
    assert store.current() == one


def test_the_current_link_is_relative_so_that_the_folder_can_move(store: ReleaseStore) -> None:
    ship(store, 1)
    assert os.readlink(store.link) == f"releases/{ids(1)[0]}"


def test_rollback_refuses_a_release_that_has_been_damaged(store: ReleaseStore) -> None:
    ship(store, 1, 2)
    damaged = store.releases / ids(1)[0] / "net.hef"
    damaged.chmod(0o644)
    damaged.write_bytes(b"short")
    with pytest.raises(Refused, match=r"incomplete: net\.hef is damaged"):
        roll_back(store)
    assert store.current() == ids(2)[0]


def test_shipping_again_mends_a_damaged_current_release_in_place(store: ReleaseStore) -> None:
    ship(store, 1)
    damaged = store.releases / ids(1)[0] / "net.hef"
    damaged.chmod(0o644)
    damaged.write_bytes(b"\x00" * 5000)  # same length, other content
    assert store.verify(ids(1)[0]) == "net.hef is damaged"
    ship(store, 1)
    assert store.current() == ids(1)[0]
    assert store.verify(ids(1)[0]) is None


def test_old_releases_go_but_never_the_current_one(store: ReleaseStore) -> None:
    ship(store, 1, 2, 3, 4, keep=2)
    assert {path.name for path in store.releases.iterdir()} == set(ids(3, 4))
    roll_back(store)
    store.open(0.0, WHO)
    store.prune(1)
    store.lock.release()
    assert [path.name for path in store.releases.iterdir()] == ids(3)


def test_a_release_that_a_process_still_reads_is_kept(store: ReleaseStore) -> None:
    ship(store, 1)
    with (store.releases / ids(1)[0] / "net.hef").open("rb"):
        assert releases_in_use(store.releases) == set(ids(1))
        ship(store, 2, 3, keep=1)
        assert ids(1)[0] in {path.name for path in store.releases.iterdir()}
    ship(store, 4, keep=1)
    assert [path.name for path in store.releases.iterdir()] == ids(4)


def test_equal_files_of_two_releases_are_one_file_on_the_disk(store: ReleaseStore) -> None:
    ship(store, 1, 2)
    first, second = (store.releases / name / "labels.txt" for name in ids(1, 2))
    assert first.samefile(second)
    assert not first.stat().st_mode & 0o222


def test_a_folder_that_something_else_made_is_refused_and_left_alone(store: ReleaseStore) -> None:
    store.folder.mkdir(parents=True)
    (store.folder / "photos").mkdir()
    with pytest.raises(Refused, match="was not made by hefsmith") as refused:
        store.open(0.0, WHO)
    assert refused.value.code == "not_ours"
    assert [path.name for path in store.folder.iterdir()] == ["photos"]


def test_a_file_in_the_place_of_the_folder_is_refused(store: ReleaseStore) -> None:
    store.folder.parent.mkdir(parents=True)
    store.folder.write_text("mine")
    with pytest.raises(Refused, match="is not a folder"):
        store.open(0.0, WHO)


def test_the_second_of_two_is_told_who_holds_the_lock(store: ReleaseStore) -> None:
    store.open(0.0, {"who": "anna@desk"})
    with pytest.raises(Refused) as refused:
        ReleaseStore(store.folder.parent, "net").open(0.3, WHO)
    store.lock.release()
    assert refused.value.code == "busy"
    assert refused.value.answer["holder"]["who"] == "anna@desk"


def test_a_waiting_second_goes_on_when_the_first_has_ended(store: ReleaseStore) -> None:
    store.open(0.0, WHO)
    timer = threading.Timer(0.4, store.lock.release)
    timer.start()
    second = ReleaseStore(store.folder.parent, "net")
    second.open(10.0, WHO)
    timer.join()
    second.lock.release()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "..\\b", "-rf", "a\0b", "/etc/passwd"])
def test_names_that_leave_the_folder_are_refused(name: str, store: ReleaseStore) -> None:
    with pytest.raises(Refused, match="not a file name"):
        safe_name(name)
    with pytest.raises(Refused):
        ReleaseStore(store.folder.parent, name)


def test_a_damaged_history_costs_nothing_but_the_way_back(store: ReleaseStore) -> None:
    ship(store, 1, 2)
    (store.folder / "history.json").write_text("{broken")
    ship(store, 3)
    assert store.current() == ids(3)[0]
    roll_back(store)
    assert store.current() == ids(2)[0]
