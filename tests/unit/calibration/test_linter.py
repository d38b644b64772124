"""What the linter says, on sets that have one fault each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hefsmith_worker.calibration import CalibrationError, build_calibration
from PIL import Image


def lint(request: Any, tmp_path: Path) -> dict[str, Any]:
    made = build_calibration(request, tmp_path / "out")
    return {finding.code: finding for finding in made.findings}


def save(folder: Path, arrays: Any, suffix: str = ".png") -> Path:
    folder.mkdir(exist_ok=True)
    for index, array in enumerate(arrays):
        Image.fromarray(np.asarray(array, np.uint8)).save(folder / f"{index:04d}{suffix}")
    return folder


def test_a_good_set_has_nothing_to_say(make_folder: Any, make_request: Any, tmp_path: Path) -> None:
    folder = make_folder(count=70)

    assert lint(make_request(folder, count=64), tmp_path) == {}


@pytest.mark.parametrize(
    ("level", "wanted"), [(0, 64), (1, 64), (2, 1024), (3, 256), (4, 1024), (None, 1024)]
)
def test_fewer_images_than_the_level_works_with_are_a_warning(
    level: int | None, wanted: int, make_folder: Any, make_request: Any, tmp_path: Path
) -> None:
    found = lint(make_request(make_folder(), level=level), tmp_path)["calib.count.level"]

    assert (found.severity, found.asked, found.got) == ("warning", str(wanted), "8")
    assert "optimization.level" in found.fix


def test_level_minus_100_wants_no_images(
    make_folder: Any, make_request: Any, tmp_path: Path
) -> None:
    found = lint(make_request(make_folder(), level=-100), tmp_path)

    assert "calib.count.level" not in found


def test_fewer_images_than_asked_are_told(
    make_folder: Any, make_request: Any, tmp_path: Path
) -> None:
    found = lint(make_request(make_folder(), count=1000), tmp_path)["calib.count"]

    assert (found.asked, found.got) == ("1000", "12")


@pytest.mark.parametrize(
    ("level", "code"), [(0, "calib.black"), (255, "calib.blown"), (100, "calib.constant")]
)
def test_useless_pictures_are_named_and_only_useless_ones_are_an_error(
    level: int, code: str, make_folder: Any, make_request: Any, tmp_path: Path
) -> None:
    folder = make_folder(count=8)
    chance = np.random.RandomState(0)
    bad = np.full((48, 64, 3), level, np.uint8)
    if code != "calib.constant":
        spot = chance.randint(0, 12, (48, 64, 3))
        bad = (spot if level == 0 else 255 - spot // 2).astype(np.uint8)
    Image.fromarray(bad).save(folder / "bad.png")

    found = lint(make_request(folder, count=20), tmp_path)[code]
    assert (found.severity, found.files) == ("warning", ("bad.png",))

    alone = make_request(save(tmp_path / "alone", [bad] * 6), count=6, drop_duplicates=False)
    assert lint(alone, tmp_path)[code].severity == "error"


def test_letterbox_padding_does_not_hide_a_black_picture(
    make_folder: Any, make_request: Any, tmp_path: Path
) -> None:
    folder = make_folder(count=6)
    wide = np.random.RandomState(0).randint(0, 9, (40, 200, 3)).astype(np.uint8)
    Image.fromarray(wide).save(folder / "wide.png")

    found = lint(make_request(folder, count=20), tmp_path)
    assert found["calib.black"].files == ("wide.png",)


def test_one_scene_repeated_is_seen(make_request: Any, draw: Any, tmp_path: Path) -> None:
    chance = np.random.RandomState(0)
    base = draw(1, 96, 128).astype(int)
    shots = [np.clip(base + chance.normal(0, 3, base.shape), 0, 255) for _ in range(20)]
    folder = save(tmp_path / "shots", [*shots, *(draw(n) for n in range(2, 7))])

    found = lint(make_request(folder, count=20), tmp_path)["calib.duplicates"]

    assert found.severity == "warning"
    assert "one scene repeated" in found.message
    kept = lint(make_request(folder, count=20, drop_duplicates=False), tmp_path)
    assert "calib.duplicates" not in kept


@pytest.mark.parametrize("owner", ["chip", "host"])
def test_recipe_and_script_may_not_both_normalise(
    owner: str, make_folder: Any, make_request: Any, tmp_path: Path
) -> None:
    script = ["# normalization(off)", "n1 = normalization([0,0,0], [255,255,255])"]
    request = make_request(make_folder(), script=script, preprocess={"normalize": owner})

    found = lint(request, tmp_path)["calib.normalised-twice"]

    assert found.severity == "error"
    assert "n1 = normalization" in found.message


def test_a_script_may_normalise_alone_and_comments_do_not_count(
    make_folder: Any, make_request: Any, tmp_path: Path
) -> None:
    alone = make_request(
        make_folder(), script=["n = normalization([0],[1])"], preprocess={"normalize": "none"}
    )
    comment = make_request(make_folder(), script=["# normalization([0],[1])"])

    for request in (alone, comment):
        assert "calib.normalised-twice" not in lint(request, tmp_path)


def test_pixels_that_were_divided_and_saved_as_bytes_are_an_error(
    make_folder: Any, make_request: Any, tmp_path: Path
) -> None:
    divided = np.random.RandomState(0).uniform(0, 1, (10, 32, 32, 3)).round().astype(np.uint8)
    np.save(tmp_path / "set.npy", divided)

    found = lint(make_request(tmp_path / "set.npy", drop_duplicates=False), tmp_path)

    assert found["calib.range"].severity == "error"


def test_arrays_of_0_to_1_are_an_error_when_the_chip_divides_too(
    make_request: Any, tmp_path: Path
) -> None:
    np.save(tmp_path / "set.npy", np.random.RandomState(0).rand(10, 32, 32, 3))

    found = lint(make_request(tmp_path / "set.npy", drop_duplicates=False), tmp_path)

    assert found["calib.normalised-twice"].severity == "error"
    assert found["calib.dtype.wide"].severity == "info"


def test_pictures_far_from_the_statistics_of_training_are_told(
    make_request: Any, draw: Any, tmp_path: Path
) -> None:
    dark = save(tmp_path / "dark", [draw(n) // 6 for n in range(10)])
    request = make_request(dark, preprocess={"preset": "imagenet"}, count=10)

    found = lint(request, tmp_path)

    assert "R 2" in found["calib.statistics"].message
    assert found["calib.dark"].severity == "warning"


def test_a_script_that_wants_bgr_and_a_recipe_that_gives_rgb_are_told(
    make_folder: Any, make_request: Any, tmp_path: Path
) -> None:
    script = ["c = input_conversion(input_layer1, bgr_to_rgb)"]

    assert "calib.channel-order" in lint(make_request(make_folder(), script=script), tmp_path)
    bgr = make_request(make_folder(), script=script, preprocess={"color": "bgr"})
    assert "calib.channel-order" not in lint(bgr, tmp_path)


def test_odd_pictures_are_facts_not_faults(make_request: Any, draw: Any, tmp_path: Path) -> None:
    folder = save(tmp_path / "odd", [draw(n, 20, 90) for n in range(6)])
    clear = Image.fromarray(draw(20, 20, 90))
    clear.putalpha(9)
    clear.save(folder / "alpha.png")
    deep = np.random.RandomState(0).randint(0, 65535, (20, 90)).astype(np.uint16)
    Image.fromarray(deep).save(folder / "deep.png")
    request = make_request(folder, count=20, preprocess={"resize": "stretch", "size": [200, 200]})

    found = lint(request, tmp_path)

    assert {code: found[code].severity for code in found if code != "calib.count.level"} == {
        "calib.count": "info", "calib.alpha": "info", "calib.16bit": "info",
        "calib.small": "info", "calib.stretch": "info",
    }  # fmt: skip


def test_errors_come_first(make_folder: Any, make_request: Any, tmp_path: Path) -> None:
    made = build_calibration(
        make_request(make_folder(), level=2, count=20, script=["n = normalization([0],[1])"]),
        tmp_path / "out",
    )

    ranks = [("error", "warning", "info").index(f.severity) for f in made.findings]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) == 3


def test_pictures_that_are_black_were_not_divided(make_request: Any, tmp_path: Path) -> None:
    black = save(tmp_path / "black", [np.zeros((48, 64, 3), np.uint8)] * 6)

    found = lint(make_request(black, count=6, drop_duplicates=False), tmp_path)

    assert "calib.black" in found
    assert "calib.range" not in found


def test_whole_numbers_of_more_than_8_bits_are_told_as_what_they_are(
    make_request: Any, tmp_path: Path
) -> None:
    deep = np.random.RandomState(0).randint(0, 4096, (10, 32, 32, 3)).astype(np.uint16)
    np.save(tmp_path / "set.npy", deep)

    with pytest.raises(CalibrationError, match="more than the 8 bits") as caught:
        lint(make_request(tmp_path / "set.npy", drop_duplicates=False), tmp_path)

    assert caught.value.fix == "array = (array // 16).astype('uint8')"
    assert int(deep.max()) // 16 <= 255


def test_a_deviation_in_units_of_0_to_1_is_told(
    make_folder: Any, make_request: Any, tmp_path: Path
) -> None:
    wrong = {"mean": [114.75], "std": [0.225]}
    found = lint(make_request(make_folder(), preprocess=wrong), tmp_path)
    assert "std: [57.375" in (found["calib.units"].fix or "")
    raw = {"mean": [0], "std": [1]}
    assert "calib.units" not in lint(make_request(make_folder("raw"), preprocess=raw), tmp_path)


@pytest.mark.parametrize(
    ("mean", "told"), [((0.485, 0.456, 0.406), True), ((0.5,), True), ((0.0,), False),
                       ((123.7, 116.3, 103.5), False), ((1.0,), False)],
)  # fmt: skip
def test_a_mean_in_units_of_0_to_1_is_told_where_only_the_deviation_is_in_those_of_pixels(
    mean: tuple[float, ...], told: bool, make_folder: Any, make_request: Any, tmp_path: Path
) -> None:
    prepared = {"mean": list(mean), "std": [255]}

    found = lint(make_request(make_folder(), preprocess=prepared), tmp_path)

    assert ("calib.units" in found) == told
    if told:
        assert f"mean: [{255 * mean[0]:.5g}" in (found["calib.units"].fix or "")


def test_a_count_below_the_minimum_is_no_lack_of_pictures(
    make_folder: Any, make_request: Any, tmp_path: Path
) -> None:
    found = lint(make_request(make_folder(), count=5, minimum=8), tmp_path)["calib.minimum"]

    assert found.fix == "Raise calibration.count to at least 8, or lower calibration.minimum."
