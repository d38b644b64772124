from __future__ import annotations

import contextlib
import json

import pytest
from hefsmith_worker.contract.presets import PRESETS
from hefsmith_worker.pictures import Preprocess, PreprocessError
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_preset_survives_the_way_through_json(name: str) -> None:
    made = Preprocess.from_dict({"preset": name, "size": [64, 48]})

    assert Preprocess.from_dict(json.loads(json.dumps(made.to_dict()))) == made


def test_torchvision_means_shorter_side_256_centre_224_and_imagenet_statistics() -> None:
    made = Preprocess.from_dict({"preset": "torchvision"})

    assert (made.resize, made.resize_to, made.size) == ("shorter_then_crop", 256, (224, 224))
    assert made.mean == pytest.approx([0.485 * 255, 0.456 * 255, 0.406 * 255])
    assert made.std == pytest.approx([0.229 * 255, 0.224 * 255, 0.225 * 255])


def test_ultralytics_means_letterbox_with_114_and_division_by_255() -> None:
    made = Preprocess.from_dict({"preset": "ultralytics", "size": 320})

    assert (made.resize, made.per_channel("pad")) == ("letterbox", (114.0, 114.0, 114.0))
    assert (made.size, made.offset_and_scale) == ((320, 320), ((0.0,) * 3, (255.0,) * 3))


def test_what_the_recipe_says_wins_over_the_preset() -> None:
    made = Preprocess.from_dict({"preset": "torchvision", "resize": "stretch", "color": "bgr"})

    assert (made.resize, made.resize_to, made.color) == ("stretch", None, "bgr")


def test_nobody_normalising_leaves_pixels_alone() -> None:
    made = Preprocess.from_dict({"preset": "imagenet", "size": 8, "normalize": "none"})

    assert made.offset_and_scale == ((0.0,) * 3, (1.0,) * 3)


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({}, "size"),
        ({"size": [10]}, "size"),
        ({"size": [0, 10]}, "size"),
        ({"size": "big"}, "size"),
        ({"size": True}, "size"),
        ({"size": 8, "resize": "squash"}, "resize"),
        ({"size": 8, "color": "cmyk"}, "color"),
        ({"size": 8, "preset": "keras"}, "preset"),
        ({"size": 8, "std": 0}, "std"),
        ({"size": 8, "std": [1, 2]}, "std"),
        ({"size": 8, "mean": float("nan")}, "mean"),
        ({"size": 8, "pad": 300}, "pad"),
        ({"size": 8, "pad": 1.5}, "pad"),
        ({"size": 8, "color": "gray", "mean": [1, 2, 3]}, "mean"),
        ({"size": 8, "resize": "stretch", "resize_to": 9}, "resize_to"),
        ({"size": 8, "resize": "shorter_then_crop", "resize_to": 7}, "resize_to"),
        ({"size": 8, "colour": "rgb"}, "colour"),
    ],
)
def test_a_wrong_field_is_named(data: dict[str, object], field: str) -> None:
    with pytest.raises(PreprocessError, match=f"^{field}:"):
        Preprocess.from_dict(data)


@given(
    st.dictionaries(
        st.sampled_from([*Preprocess.__dataclass_fields__, "x"]),
        st.one_of(
            st.none(),
            st.integers(),
            st.floats(),
            st.sampled_from(["rgb", "letterbox", "", "x"]),
            st.lists(st.integers()),
        ),
    )
)
def test_any_data_gives_a_definition_or_the_one_error(data: dict[str, object]) -> None:
    with contextlib.suppress(PreprocessError):
        Preprocess.from_dict(data)
