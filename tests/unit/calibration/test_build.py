"""Building a set: what is in it, that it is the same everywhere, and what is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hefsmith_worker.calibration import CalibrationError, ImageProgress, build_calibration
from hefsmith_worker.calibration.pool import MOST_THREADS
from hefsmith_worker.contract.findings import Finding
from hefsmith_worker.pictures import normalise, prepare
from PIL import Image


def codes(findings: Any) -> dict[str, str]:
    return {finding.code: finding.severity for finding in findings}


def load(folder: Path, made: Any, index: int = 0) -> np.ndarray:
    return np.load(folder / made.inputs[index].file, mmap_mode="r")


def test_rows_are_the_prepared_pictures_in_the_order_of_the_names(
    make_folder: Any, make_request: Any, tmp_path: Path
) -> None:
    folder = make_folder(count=12)
    request = make_request(folder, preprocess={"color": "bgr"})

    made = build_calibration(request, tmp_path / "out")

    array = load(tmp_path / "out", made)
    assert isinstance(array, np.memmap)
    assert (array.dtype, array.shape) == (np.uint8, (8, 32, 32, 3))
    for name, row in zip(made.names, array, strict=True):
        assert np.array_equal(row, prepare(str(folder / name), request.inputs[0].preprocess))
    assert (made.asked, made.available, made.used) == (8, 12, 8)


def test_statistics_are_those_of_the_array_padding_included(
    make_folder: Any, make_request: Any, tmp_path: Path
) -> None:
    made = build_calibration(make_request(make_folder()), tmp_path / "out")

    array = np.asarray(load(tmp_path / "out", made)).reshape(-1, 3)
    for index, channel in enumerate(made.inputs[0].channels):
        assert channel.mean == pytest.approx(array[:, index].mean())
        assert channel.std == pytest.approx(array[:, index].std())
        assert (channel.minimum, channel.maximum) == (array[:, index].min(), array[:, index].max())
        assert channel.histogram == tuple(np.bincount(array[:, index], minlength=256))


@pytest.mark.slow
def test_threads_processes_and_working_in_turn_make_the_same_bytes(
    make_folder: Any, make_request: Any, tmp_path: Path
) -> None:
    folder = make_folder(count=30)
    (folder / "0003.png").write_bytes(b"broken")
    (folder / "copy.png").write_bytes((folder / "0005.png").read_bytes())
    ways = (0, 2, MOST_THREADS + 1)

    made = [
        build_calibration(make_request(folder, count=40, workers=workers), tmp_path / str(workers))
        for workers in ways
    ]

    files = [
        (tmp_path / str(w) / m.inputs[0].file).read_bytes() for w, m in zip(ways, made, strict=True)
    ]
    assert files[0] == files[1] == files[2]
    assert made[0].to_dict() == made[1].to_dict() == made[2].to_dict()
    assert (made[0].used, made[0].dropped_duplicates, len(made[0].unreadable)) == (29, 1, 1)


def test_broken_and_repeated_pictures_are_replaced_while_there_are_others(
    make_folder: Any, make_request: Any, tmp_path: Path
) -> None:
    folder = make_folder(count=20)
    for index in range(6):
        (folder / f"{index:04d}.png").write_bytes(b"broken")
    for index in range(6, 12):
        (folder / f"{index:04d}.png").write_bytes((folder / "0012.png").read_bytes())

    made = build_calibration(make_request(folder, count=8), tmp_path / "out")

    assert made.used == 8
    assert "calib.count" not in codes(made.findings)


def test_every_unreadable_file_is_named_and_the_rest_goes_on(
    make_folder: Any, make_request: Any, tmp_path: Path
) -> None:
    folder = make_folder(count=8)
    (folder / "a.jpg").write_bytes(b"")
    (folder / "b.jpg").write_bytes(b"no picture at all")
    (folder / "c.jpg").symlink_to("gone.jpg")

    made = build_calibration(make_request(folder, count=20), tmp_path / "out")

    finding = next(f for f in made.findings if f.code == "calib.unreadable")
    assert finding.severity == "warning"
    assert sorted(finding.files) == [
        "a.jpg: the file is empty",
        "b.jpg: not a picture that Pillow can read",
        "c.jpg: the file is missing",
    ]
    assert not made.errors


def test_too_few_usable_pictures_are_an_error(
    make_folder: Any, make_request: Any, tmp_path: Path
) -> None:
    made = build_calibration(make_request(make_folder(count=3), minimum=4), tmp_path / "out")

    assert [error.code for error in made.errors] == ["calib.minimum"]
    assert "Add pictures" in str(made.errors[0].fix)


def test_only_broken_files_are_one_error_and_leave_nothing_behind(
    tmp_path: Path, make_request: Any
) -> None:
    (tmp_path / "set").mkdir()
    for name in "abc":
        (tmp_path / "set" / f"{name}.png").write_bytes(b"broken")

    with pytest.raises(CalibrationError, match="none of the 3 calibration images") as caught:
        build_calibration(make_request(tmp_path / "set"), tmp_path / "out")
    assert caught.value.code == "calib.unreadable"
    assert ".png: not a picture" in str(caught.value)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_new_set_replaces_the_old_one_and_an_equal_one_keeps_its_name(
    make_folder: Any, make_request: Any, tmp_path: Path
) -> None:
    folder, out = make_folder(count=12), tmp_path / "out"
    first = build_calibration(make_request(folder), out)
    again = build_calibration(make_request(folder), out)
    other = build_calibration(make_request(folder, seed=1), out)

    assert first.inputs == again.inputs
    assert other.inputs[0].file != first.inputs[0].file
    assert sorted(path.name for path in out.iterdir()) == [
        "calibration.json", other.inputs[0].file
    ]  # fmt: skip
    assert json.loads((out / "calibration.json").read_text())["names"] == list(other.names)


def test_progress_reaches_the_end_and_findings_are_told(
    make_folder: Any, make_request: Any, tmp_path: Path
) -> None:
    news: list[Any] = []

    made = build_calibration(make_request(make_folder(), level=2), tmp_path / "out", news.append)

    progress = [one for one in news if isinstance(one, ImageProgress)]
    assert [(p.done, p.total) for p in progress][-1] == (8, 8)
    assert [one for one in news if isinstance(one, Finding)] == list(made.findings)


def test_the_host_normalising_gives_floats_in_the_file(
    make_folder: Any, make_request: Any, tmp_path: Path
) -> None:
    folder = make_folder()
    raw = build_calibration(make_request(folder), tmp_path / "raw")
    request = make_request(folder, preprocess={"preset": "imagenet", "normalize": "host"})

    made = build_calibration(request, tmp_path / "out")

    array = load(tmp_path / "out", made)
    assert array.dtype == np.float32
    expected = normalise(np.asarray(load(tmp_path / "raw", raw)), request.inputs[0].preprocess)
    assert np.array_equal(array, expected)
    assert made.inputs[0].channels == raw.inputs[0].channels


def test_random_crops_are_the_same_at_every_build_and_follow_the_seed(
    make_folder: Any, make_request: Any, tmp_path: Path
) -> None:
    folder, crop = make_folder(count=8), {"preprocess": {"resize": "random_crop"}}
    made = [
        build_calibration(make_request(folder, seed=seed, **crop), tmp_path / name)
        for name, seed in (("a", 0), ("b", 0), ("c", 5))
    ]
    arrays = [np.asarray(load(tmp_path / n, m)) for n, m in zip("abc", made, strict=True)]

    assert np.array_equal(arrays[0], arrays[1])
    order = [made[2].names.index(name) for name in made[0].names]
    assert not np.array_equal(arrays[0], arrays[2][order])


def test_rows_of_an_array_file_are_taken_as_they_are(make_request: Any, tmp_path: Path) -> None:
    pixels = np.random.RandomState(0).randint(0, 256, (20, 32, 32, 3)).astype(np.uint8)
    np.save(tmp_path / "set.npy", pixels)

    made = build_calibration(make_request(tmp_path / "set.npy", count=10), tmp_path / "out")

    rows = [int(name[len("set.npy[") : -1]) for name in made.names]
    assert np.array_equal(load(tmp_path / "out", made), pixels[rows])


def test_two_inputs_get_the_pictures_that_belong_together(
    make_folder: Any, make_request: Any, tmp_path: Path
) -> None:
    left, right = make_folder("left", 10), make_folder("right", 10)
    inputs = [
        {"name": "left", "preprocess": {"size": [16, 16]}},
        {"name": "right/cam:0", "preprocess": {"size": [8, 8], "color": "gray"}},
    ]
    request = make_request(
        {"left": str(left), "right/cam:0": str(right)}, inputs=inputs, drop_duplicates=False
    )

    made = build_calibration(request, tmp_path / "out")

    assert [entry.shape for entry in made.inputs] == [(8, 16, 16, 3), (8, 8, 8, 1)]
    for index, folder in enumerate((left, right)):
        rows = load(tmp_path / "out", made, index)
        spec = request.inputs[index].preprocess
        assert np.array_equal(rows[3], prepare(str(folder / made.names[3]), spec))


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        ({"left": "left"}, "no calibration source for the input right"),
        ({"left": "left", "right": "right", "up": "left"}, "unknown inputs up"),
        ({"left": "left", "right": "fewer"}, "has 10 samples, input right has 4"),
        ({"left": "left", "right": "other"}, "only in one of them"),
    ],
)
def test_inputs_that_do_not_belong_together_are_told(
    sources: dict[str, str], words: str, make_folder: Any, make_request: Any, tmp_path: Path
) -> None:
    make_folder("left", 10), make_folder("right", 10), make_folder("fewer", 4)
    make_folder("other", 10, start=5)
    inputs = [{"name": name, "preprocess": {"size": [8, 8]}} for name in ("left", "right")]
    given = {name: str(tmp_path / folder) for name, folder in sources.items()}

    with pytest.raises(CalibrationError, match=words):
        build_calibration(make_request(given, inputs=inputs), tmp_path / "out")


def test_a_set_larger_than_the_disk_is_refused_before_it_is_written(
    make_folder: Any, make_request: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1024))

    with pytest.raises(CalibrationError, match="are free") as caught:
        build_calibration(make_request(make_folder()), tmp_path / "out")
    assert caught.value.code == "calib.space"


def test_pictures_that_are_for_validation_are_an_error_whatever_their_name(
    make_folder: Any, make_request: Any, tmp_path: Path
) -> None:
    folder = make_folder(count=10)
    held_out = make_folder("validation", 4, start=100)
    (held_out / "other-name.png").write_bytes((folder / "0002.png").read_bytes())
    Image.open(folder / "0003.png").save(held_out / "saved-anew.bmp")
    request = make_request(folder, count=10, validation=str(held_out))

    made = build_calibration(request, tmp_path / "out")

    error = next(error for error in made.errors if error.code == "calib.overlap")
    assert error.files == ("other-name.png", "saved-anew.bmp")
    clean = make_request(folder, validation=str(make_folder("clean", 4, start=200)))
    assert not build_calibration(clean, tmp_path / "out").errors


def test_validation_pictures_that_are_almost_the_same_are_a_warning(
    make_folder: Any, make_request: Any, tmp_path: Path
) -> None:
    folder = make_folder(count=10)
    held_out = make_folder("validation", 2, start=100)
    Image.open(folder / "0003.png").save(held_out / "again.jpg", quality=85)

    made = build_calibration(
        make_request(folder, count=10, validation=str(held_out)), tmp_path / "o"
    )

    assert codes(made.findings)["calib.overlap.near"] == "warning"


@pytest.mark.slow
def test_all_validation_pictures_are_compared_and_the_same_pixels_are_told_from_similar_ones(
    make_folder: Any, make_request: Any, draw: Any, tmp_path: Path
) -> None:
    folder, held_out = make_folder("c", 10), make_folder("v", 400, start=100)
    Image.fromarray(draw(3)).save(held_out / "same.bmp")
    Image.fromarray(draw(4)).save(held_out / "similar.jpg", quality=70)
    told: list[ImageProgress] = []

    made = build_calibration(
        make_request(folder, count=10, validation=str(held_out)),
        tmp_path / "o",
        lambda news: told.append(news) if isinstance(news, ImageProgress) else None,
    )

    found = {finding.code: finding.files for finding in made.findings}
    assert found["calib.overlap"] == ("same.bmp",)
    assert found["calib.overlap.near"] == ("similar.jpg",)
    assert told[-1] == ImageProgress(402, 402, "validation images")


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names there are always text")
def test_names_that_are_no_text_are_shown_with_escapes(
    make_folder: Any, make_request: Any, tmp_path: Path
) -> None:
    folder = make_folder(count=9)
    for name, source in ((b"good\xff.png", "0000.png"), (b"bad\xfe.png", None)):
        data = (folder / source).read_bytes() if source else b"broken"
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(data)
    (folder / "0000.png").unlink()

    made = build_calibration(make_request(folder, count=20), tmp_path / "out")

    assert "good\\xff.png" in made.names
    assert made.unreadable[0].startswith("bad\\xfe.png: ")
    index = json.loads((tmp_path / "out" / "calibration.json").read_text(encoding="utf-8"))
    assert index["names"] == list(made.names)


KILLED = """
import sys
from pathlib import Path
from hefsmith_worker.calibration import (CalibrationRequest, build_calibration)
request = CalibrationRequest.from_dict({
    "inputs": [{"name": "image", "preprocess": {"size": [600, 600]}}],
    "sources": sys.argv[1], "count": 400, "workers": int(sys.argv[3]), "drop_duplicates": False,
})
def tell(news):
    print("going", flush=True)
build_calibration(request, Path(sys.argv[2]), tell)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize(("workers", "processes"), [(2, 0), (MOST_THREADS + 1, MOST_THREADS + 1)])
@pytest.mark.slow
def test_a_build_that_is_ended_leaves_no_process_and_no_half_set(
    workers: int,
    processes: int,
    how: signal.Signals,
    make_folder: Any,
    make_request: Any,
    tmp_path: Path,
) -> None:
    folder = make_folder(count=400)
    out = tmp_path / "out"
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(folder), str(out), str(workers)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as build:  # fmt: skip
        assert build.stdout is not None
        assert build.stdout.readline() == b"going\n"
        children = Path(f"/proc/{build.pid}/task/{build.pid}/children").read_text().split()
        os.kill(build.pid, how)
        build.wait(timeout=120)
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline, "worker processes outlive their parent"
        time.sleep(0.05)

    assert len(children) == processes
    assert not list(out.glob("*.npy"))
    assert not list(out.glob("*.json"))
    small = make_folder("small", 8, start=1000)
    build_calibration(make_request(small), out)
    assert not list(out.glob(".calibration-*"))
