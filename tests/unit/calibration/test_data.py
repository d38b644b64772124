"""Inputs that are no pictures: many channels, signals, features. They come from arrays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hefsmith_worker.calibration import (
    CalibrationError,
    CalibrationRequest,
    InputSpec,
    build_calibration,
    load_samples,
    read_sources,
)
from hefsmith_worker.calibration.contact_sheet import draw_contact_sheet
from hefsmith_worker.golden import input_specs
from hefsmith_worker.pictures import PictureError, Preprocess, prepare
from hefsmith_worker.protocol import StageError

SPECTRAL = (1, 7, 12, 10)
FEATURES = (1, 16)
SIGNAL = (1, 2, 1, 64)


def specs(shape: tuple[int, ...], **preprocessing: Any) -> list[InputSpec]:
    return input_specs({"shared": preprocessing}, [{"name": "x", "shape": list(shape)}])


def rows(shape: tuple[int, ...], count: int = 12, seed: int = 0) -> np.ndarray:
    """Floats (N, H, W, C) or (N, F) that no scale of pictures fits."""
    chance = np.random.RandomState(seed)
    last = (shape[1],) if len(shape) == 2 else (*shape[2:], shape[1])
    return chance.normal(-40, 30, (count, *last)).astype(np.float32)


def request(source: Path, shape: tuple[int, ...], **changes: Any) -> CalibrationRequest:
    preprocessing = changes.pop("preprocessing", {"normalize": "host"})
    return CalibrationRequest(
        tuple(specs(shape, **preprocessing)),
        read_sources(str(source)),
        **{"count": 100, "minimum": 4, "level": 0, "workers": 0, **changes},
    )


def save(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


@pytest.mark.parametrize("shape", [SPECTRAL, FEATURES, SIGNAL, (1, 4, 8, 8)])
def test_arrays_of_any_number_of_channels_become_the_set_as_they_are(
    shape: tuple[int, ...], tmp_path: Path
) -> None:
    array = rows(shape)
    source = save(tmp_path / "a.npy", array)

    made = build_calibration(request(source, shape), tmp_path / "out")

    written = np.load(tmp_path / "out" / made.inputs[0].file)
    order = [int(name.split("[")[1][:-1]) for name in made.names]
    assert np.array_equal(written, array[order])
    assert sorted(order) == list(range(12))
    assert not made.errors


def test_statistics_are_in_the_units_of_the_array(tmp_path: Path) -> None:
    array = rows(SPECTRAL, 40)
    made = build_calibration(request(save(tmp_path / "a.npy", array), SPECTRAL), tmp_path / "out")

    step = float(array.max() - array.min()) / 255
    for index, channel in enumerate(made.inputs[0].channels):
        values = array[..., index].astype(float)
        assert channel.mean == pytest.approx(values.mean(), abs=step)
        assert channel.std == pytest.approx(values.std(), abs=step)
        assert channel.minimum == pytest.approx(values.min(), abs=step)
        assert sum(channel.histogram) == values.size


def test_bytes_of_many_channels_may_be_normalised_by_the_chip(tmp_path: Path) -> None:
    array = np.random.RandomState(0).randint(0, 256, (12, 12, 10, 7)).astype(np.uint8)
    wanted = request(save(tmp_path / "a.npy", array), SPECTRAL, preprocessing={"mean": 9, "std": 3})

    made = build_calibration(wanted, tmp_path / "out")

    assert made.inputs[0].dtype == "uint8"
    assert wanted.inputs[0].preprocess.per_channel("mean") == (9.0,) * 7
    assert not made.errors


def test_whole_numbers_are_normalised_on_the_host_in_their_own_units(tmp_path: Path) -> None:
    array = np.random.RandomState(0).randint(0, 4096, (8, 12, 10, 7)).astype(np.uint16)
    wanted = request(
        save(tmp_path / "a.npy", array), SPECTRAL,
        preprocessing={"normalize": "host", "mean": 2048, "std": 1024},
    )  # fmt: skip

    made = build_calibration(wanted, tmp_path / "out")

    written = np.load(tmp_path / "out" / made.inputs[0].file)
    assert written.min() == pytest.approx((array.min() - 2048.0) / 1024)
    assert written.max() == pytest.approx((array.max() - 2048.0) / 1024)


def test_equal_rows_are_left_out_and_similar_ones_stay(tmp_path: Path) -> None:
    array = rows(FEATURES, 10)
    array[7] = array[2]
    array[8] = array[3] + 0.001

    made = build_calibration(request(save(tmp_path / "a.npy", array), FEATURES), tmp_path / "out")

    assert (made.used, made.dropped_duplicates) == (9, 1)


def test_rows_with_nothing_in_them_are_named(tmp_path: Path) -> None:
    array = rows(SPECTRAL, 10)
    array[4] = 1.5
    made = build_calibration(request(save(tmp_path / "a.npy", array), SPECTRAL), tmp_path / "out")

    found = {finding.code: finding for finding in made.findings}
    assert found["calib.constant"].files == ("a.npy[4]",)
    assert "calib.black" not in found


def test_one_number_a_sample_has_to_vary_over_the_set(tmp_path: Path) -> None:
    """A speed beside a picture: no sample of it holds more than one value."""
    speeds = rows((1, 1))
    made = build_calibration(request(save(tmp_path / "a.npy", speeds), (1, 1)), tmp_path / "out")
    assert not made.errors
    still = save(tmp_path / "b.npy", np.full((12, 1), 3, np.float32))
    made = build_calibration(request(still, (1, 1), minimum=1), tmp_path / "still")
    assert "calib.constant" in [finding.code for finding in made.errors]


def test_rows_that_are_for_validation_too_are_an_error(tmp_path: Path) -> None:
    array = rows(FEATURES)
    source = save(tmp_path / "a.npy", array)
    other = save(tmp_path / "v.npy", np.concatenate([rows(FEATURES, 4, seed=1), array[5:6]]))

    wanted = request(source, FEATURES, validation=read_sources(str(other)))
    made = build_calibration(wanted, tmp_path / "out")

    assert [(finding.code, finding.got) for finding in made.errors] == [("calib.overlap", "1")]
    assert "v.npy[4] is a.npy[5]" in made.errors[0].message


@pytest.mark.parametrize(
    ("shape", "array", "code", "fix"),
    [
        (SPECTRAL, np.zeros((8, 7, 12, 10), np.float32), "calib.layout", "transpose(0, 2, 3, 1)"),
        (SPECTRAL, np.zeros((8, 12, 10, 3), np.float32), "calib.channels", "(N, 12, 10, 7)"),
        (FEATURES, np.zeros((8, 15), np.float32), "calib.shape", "one row"),
        (FEATURES, np.zeros(16, np.float32), "calib.shape", "array[None]"),
        (FEATURES, np.full((8, 16), np.nan, np.float32), "calib.nan", None),
    ],
)
def test_arrays_of_another_shape_are_told_with_the_way_out(
    shape: tuple[int, ...], array: np.ndarray, code: str, fix: str | None, tmp_path: Path
) -> None:
    with pytest.raises(CalibrationError) as caught:
        build_calibration(request(save(tmp_path / "a.npy", array), shape), tmp_path / "out")

    assert caught.value.code == code
    assert fix is None or fix in (caught.value.fix or "")
    assert list((tmp_path / "out").iterdir()) == []


def test_floats_for_an_input_of_bytes_are_one_error_with_the_way_out(tmp_path: Path) -> None:
    source = save(tmp_path / "a.npy", rows(SPECTRAL))

    with pytest.raises(CalibrationError, match=r"takes 8 bits") as caught:
        build_calibration(request(source, SPECTRAL, preprocessing={}), tmp_path / "out")
    with pytest.raises(CalibrationError, match=r"takes 8 bits"):
        load_samples(specs(SPECTRAL), read_sources(str(source)), 4)

    assert "normalize: host" in (caught.value.fix or "")


def test_pictures_cannot_fill_an_input_of_seven_channels(make_folder: Any, tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match=r"pictures cannot fill the input x") as caught:
        build_calibration(request(make_folder(), SPECTRAL), tmp_path / "out")

    assert "(N, 12, 10, 7)" in (caught.value.fix or "")


def test_samples_come_from_arrays_too(tmp_path: Path) -> None:
    array = rows(FEATURES)
    samples = load_samples(
        specs(FEATURES, normalize="host"), read_sources(str(save(tmp_path / "a.npy", array))), 5
    )

    order = [int(name.split("[")[1][:-1]) for name in samples.names]
    assert np.array_equal(samples.arrays["x"], array[order])


def test_what_an_input_is_follows_from_its_shape() -> None:
    found = [specs(shape)[0].preprocess for shape in (SPECTRAL, FEATURES, SIGNAL, (1, 1, 8, 8))]

    assert [(one.color, one.shape) for one in found] == [
        ("data", (12, 10, 7)), ("data", (16,)), ("data", (1, 64, 2)), ("gray", (8, 8, 1)),
    ]  # fmt: skip
    assert [Preprocess.from_dict(one.to_dict()) for one in found] == found
    assert specs((1, 3, 8, 8), color="data")[0].preprocess.shape == (8, 8, 3)


def test_an_input_of_five_dimensions_is_told_what_to_become() -> None:
    with pytest.raises(StageError) as caught:
        specs((1, 3, 4, 64, 64))

    assert "(1, T*C, H, W)" in caught.value.fix


@pytest.mark.parametrize(("shape", "lines"), [(SPECTRAL, False), (FEATURES, True), (SIGNAL, True)])
def test_the_contact_sheet_shows_data_as_colours_or_lines(
    shape: tuple[int, ...], lines: bool, tmp_path: Path
) -> None:
    array = np.random.RandomState(0).randint(0, 256, rows(shape).shape).astype(np.uint8)
    wanted = request(save(tmp_path / "a.npy", array), shape, preprocessing={})
    made = build_calibration(wanted, tmp_path / "out")
    written = np.load(tmp_path / "out" / made.inputs[0].file)

    sheet = draw_contact_sheet(made, wanted.inputs[0], tmp_path / "out")

    assert len(sheet.tiles) == 12
    for tile in sheet.tiles:
        box = (tile.x, tile.y, tile.x + tile.width, tile.y + tile.height)
        shown = np.asarray(sheet.image.crop(box)).astype(int)
        if lines:
            high = written[tile.row].reshape(-1, shape[1] if len(shape) == 4 else 1)[:, 0]
            drawn = np.argwhere((shown != shown[0, 0]).any(-1))  # both curves
            peak = int(high.argmax()) * (tile.width - 1) / (len(high) - 1)
            top = drawn[np.abs(drawn[:, 1] - peak) <= 1][:, 0].min()
            assert top <= (tile.height - 1) * (1 - high.max() / 255) + 1.5
        else:
            times = tile.width // 10
            assert np.array_equal(shown[::times, ::times], written[tile.row][..., :3])


def test_a_program_on_the_device_hands_over_arrays_as_they_are() -> None:
    host, chip = (specs(FEATURES, **given)[0].preprocess for given in ({"normalize": "host"}, {}))
    row = rows(FEATURES)[0]

    assert np.array_equal(prepare(row, host), row)
    with pytest.raises(PictureError, match="uint8"):
        prepare(row, chip)
    with pytest.raises(PictureError, match="shape"):
        prepare(np.zeros((16, 16, 3), np.uint8), replace(chip))


def spread(root: Path, shape: tuple[int, ...], count: int = 12) -> np.ndarray:
    """Write samples as files of two class folders in a form; return them as the compiler takes."""
    array = rows((1, 1, 12, 10), count)
    for number, row in enumerate(array):
        place = root / ("dog" if number % 2 else "cat")
        place.mkdir(parents=True, exist_ok=True)
        np.save(place / f"{number:02d}.npy", row.reshape(shape))
    return array


@pytest.mark.parametrize("shape", [(12, 10, 1), (1, 12, 10), (12, 10), (1, 1, 12, 10)])
def test_folders_of_one_array_a_sample_are_classes(shape: tuple[int, ...], tmp_path: Path) -> None:
    array = spread(tmp_path / "set", shape)
    made = specs((1, 1, 12, 10), color="data", normalize="host")
    found = load_samples(made, read_sources(str(tmp_path / "set")), None, labels=("cat", "dog"))
    order = [int(name[4:6]) for name in found.names]
    assert sorted(order) == list(range(12))
    assert (found.arrays["x"] == array[order]).all()
    assert list(found.labels) == [number % 2 for number in order]
    listed = tmp_path / "set.txt"
    listed.write_text("set/cat/00.npy,cat\nset/dog/01.npy,dog\n")
    found = load_samples(made, read_sources(str(listed)), None, labels=("cat", "dog"))
    assert sorted(zip(found.names, found.labels, strict=True)) == [
        ("set/cat/00.npy", 0), ("set/dog/01.npy", 1),
    ]  # fmt: skip
    wanted = request(tmp_path / "set", (1, 1, 12, 10))
    wanted = replace(wanted, inputs=tuple(made))
    built = build_calibration(wanted, tmp_path / "out")
    kept = np.load(tmp_path / "out" / built.inputs[0].file)
    assert sorted(kept.sum((1, 2, 3))) == pytest.approx(sorted(array.sum((1, 2, 3))), rel=1e-5)


def test_channels_first_is_turned_and_other_shapes_are_refused(tmp_path: Path) -> None:
    array = rows(SPECTRAL, 4)
    (tmp_path / "first").mkdir()
    for number, row in enumerate(array):
        np.save(tmp_path / "first" / f"{number}.npy", row.transpose(2, 0, 1))
    made = specs(SPECTRAL, normalize="host")
    found = load_samples(made, read_sources(str(tmp_path / "first")), None)
    order = [int(name[0]) for name in found.names]
    assert (found.arrays["x"] == array[order]).all()
    np.save(tmp_path / "first" / "4.npy", np.zeros((3, 3), np.float32))
    with pytest.raises(CalibrationError, match=r"4\.npy: array of shape"):
        load_samples(made, read_sources(str(tmp_path / "first")), None)
    (tmp_path / "first" / "4.npy").write_bytes(b"no array")
    with pytest.raises(CalibrationError, match=r"4\.npy: "):
        load_samples(made, read_sources(str(tmp_path / "first")), None)
