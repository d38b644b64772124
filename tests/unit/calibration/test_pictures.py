"""Every kind of picture file that a camera, a phone or a tool writes."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hefsmith_worker.pictures import (
    PictureError,
    Preprocess,
    normalise,
    prepare,
    prepare_with_placement,
)
from PIL import Image

RGB = Preprocess((48, 64), "stretch")
GRAY = Preprocess((48, 64), "stretch", color="gray")


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


@cache
def natural(height: int, width: int) -> np.ndarray:
    """A picture with the spectrum of photographs and colours that hang together."""
    chance = np.random.RandomState(0)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = 1
    shape = np.exp(-((frequency / 0.3) ** 2)) / frequency**1.2
    noise = chance.normal(size=(3, *shape.shape)) + 1j * chance.normal(size=(3, *shape.shape))
    planes = np.fft.irfft2(noise * shape, s=(height, width))
    planes = (planes - planes.mean((1, 2), keepdims=True)) / planes.std((1, 2), keepdims=True)
    colours = planes[0] + 0.25 * np.stack([planes[1], planes[2], planes[1] - planes[2]])
    return np.clip(np.moveaxis(colours, 0, -1) * 45 + 118, 0, 255).astype(np.uint8)


def test_rgb_comes_through_untouched(draw: Any) -> None:
    picture = draw(1)

    assert np.array_equal(prepare(encoded(Image.fromarray(picture)), RGB), picture)


def test_bgr_is_rgb_in_the_other_order(draw: Any) -> None:
    data = encoded(Image.fromarray(draw(1)))
    bgr = prepare(data, Preprocess((48, 64), color="bgr"))

    assert np.array_equal(bgr[..., ::-1], prepare(data, RGB))
    assert bgr.flags["C_CONTIGUOUS"]


def test_grey_fills_three_channels_and_rgb_becomes_luma(draw: Any) -> None:
    gray = Image.fromarray(draw(1)).convert("L")

    tripled = prepare(encoded(gray), RGB)
    assert tripled.shape == (48, 64, 3)
    assert np.array_equal(tripled[..., 0], np.asarray(gray))
    assert np.array_equal(tripled[..., 0], tripled[..., 2])

    single = prepare(encoded(Image.fromarray(draw(1))), GRAY)
    assert single.shape == (48, 64, 1)
    assert np.array_equal(single[..., 0], np.asarray(gray))


def test_alpha_is_dropped_as_training_loaders_do(draw: Any) -> None:
    image = Image.fromarray(draw(1))
    see_through = image.copy()
    see_through.putalpha(0)

    assert np.array_equal(prepare(encoded(see_through), RGB), np.asarray(image))
    gray = image.convert("L")
    gray.putalpha(7)
    assert np.array_equal(prepare(encoded(gray), GRAY)[..., 0], np.asarray(image.convert("L")))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled_not_cut(kind: str) -> None:
    deep = np.linspace(0, 65535, 48 * 64).astype(np.uint16).reshape(48, 64)

    shown = prepare(encoded(Image.fromarray(deep), kind), GRAY)[..., 0]

    assert np.array_equal(shown, np.rint(deep / 257.0).astype(np.uint8))


def test_sixteen_bit_rgb_png_keeps_its_high_byte() -> None:
    deep = np.random.RandomState(0).randint(0, 65536, (48, 64, 3)).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in deep)

    header = struct.pack(">IIBBBBB", 64, 48, 16, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows))
    shown = prepare(data + _chunk(b"IEND", b""), RGB)

    assert np.abs(shown.astype(int) - deep / 257.0).max() <= 1


def test_palette_pictures_show_their_colours(draw: Any) -> None:
    palette = Image.fromarray(draw(1)).quantize(32)

    assert np.array_equal(prepare(encoded(palette), RGB), np.asarray(palette.convert("RGB")))
    luma = palette.convert("RGB").convert("L")
    assert np.array_equal(prepare(encoded(palette), GRAY)[..., 0], np.asarray(luma))
    assert np.array_equal(
        prepare(encoded(palette, "PNG", transparency=0), RGB), np.asarray(palette.convert("RGB"))
    )


def test_black_and_white_and_cmyk_are_understood(draw: Any) -> None:
    image = Image.fromarray(draw(1))

    bits = prepare(encoded(image.convert("1")), GRAY)
    assert set(np.unique(bits)) == {0, 255}
    cmyk = prepare(encoded(image.convert("CMYK"), "TIFF"), RGB)
    assert np.abs(cmyk.astype(int) - np.asarray(image)).mean() < 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_the_picture_upright(orientation: int, draw: Any) -> None:
    upright = Image.fromarray(draw(3))
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation

    shown, placement = prepare_with_placement(encoded(stored, "PNG", exif=exif), RGB)

    assert placement.source == (48, 64)
    assert np.array_equal(shown, np.asarray(upright))


@pytest.mark.parametrize("orientation", [3, 6, 8])
@pytest.mark.parametrize("size", [(61, 83), (60, 80)])
def test_a_reduced_and_turned_jpeg_is_the_same_as_a_full_one(
    orientation: int, size: tuple[int, int]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(natural(491, 653)), "JPEG", quality=92, exif=exif)
    full = Image.open(io.BytesIO(data))
    full.load()
    turned = full.transpose(
        {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_270,
         8: Image.Transpose.ROTATE_90}[orientation]
    )  # fmt: skip
    reference = turned.resize((size[1], size[0]), Image.Resampling.BILINEAR)

    shown = prepare(data, Preprocess(size))

    assert np.abs(shown.astype(int) - np.asarray(reference)).mean() <= 1.0


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["ultralytics", "torchvision", "ultralytics-classify"])
@pytest.mark.parametrize(("quality", "subsampling"), [(75, 2), (90, 1), (95, 0)])
def test_reduced_jpegs_stay_within_a_level_of_pillows_full_decode(
    preset: str, quality: int, subsampling: int
) -> None:
    preprocess = Preprocess.from_dict({"preset": preset})
    image = Image.fromarray(natural(1080, 1920))
    data = encoded(image, "JPEG", quality=quality, subsampling=subsampling)

    ours = prepare(data, preprocess)
    full = prepare(Image.open(io.BytesIO(data)).convert("RGB"), preprocess)

    assert np.abs(ours.astype(int) - full).mean() <= 1.0


def test_a_grey_network_reads_the_luma_of_a_jpeg() -> None:
    data = encoded(Image.fromarray(natural(400, 600)), "JPEG", quality=95)
    preprocess = Preprocess((50, 75), color="gray")

    ours = prepare(data, preprocess)[..., 0]
    full = Image.open(io.BytesIO(data)).convert("L").resize((75, 50), Image.Resampling.BILINEAR)

    assert np.abs(ours.astype(int) - np.asarray(full)).mean() <= 1.0


def test_crops_equal_resizing_the_whole_and_cutting_then(draw: Any) -> None:
    picture = Image.fromarray(natural(375, 500))
    preprocess = Preprocess((224, 224), "shorter_then_crop", resize_to=256)

    whole = picture.resize((341, 256), Image.Resampling.BILINEAR).crop((58, 16, 282, 240))

    assert np.abs(prepare(picture, preprocess).astype(int) - np.asarray(whole)).max() <= 1


def test_padding_may_differ_by_channel() -> None:
    picture = np.full((10, 40, 3), 9, np.uint8)

    shown = prepare(picture, Preprocess((40, 40), "letterbox", pad=(1, 2, 3)))

    assert shown[0, 0].tolist() == [1, 2, 3]
    assert shown[20, 20].tolist() == [9, 9, 9]


def test_normalising_is_what_the_chip_does() -> None:
    preprocess = Preprocess.from_dict({"preset": "imagenet", "size": 2})
    batch = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)

    result = normalise(batch, preprocess)

    assert result.dtype == np.float32
    expected = (batch / 255.0 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    assert np.allclose(result, expected, atol=1e-5)
    with pytest.raises(ValueError, match="channels"):
        normalise(batch.transpose(0, 3, 1, 2), preprocess)
    with pytest.raises(ValueError, match="already"):
        normalise(result, preprocess)


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _png_that_claims(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(10_000))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", rows)


BROKEN = {
    "text": (b"hello, I am no picture", "not a picture"),
    "cut": (encoded(Image.fromarray(natural(64, 64)), "JPEG")[:900], "truncated"),
    "100 megapixels": (_png_that_claims(12000, 9000), "108 megapixels, more than 64"),
    "a bomb": (_png_that_claims(60000, 60000), "megapixels"),
    "half a header": (_png_that_claims(10, 10)[:20], ""),
    "float": (encoded(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"), "floating-point"),
    "no pixels": (b"P6 0 0 255\n", ""),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_bad_file_is_one_clear_error(name: str) -> None:
    data, reason = BROKEN[name]

    with pytest.raises(PictureError) as caught:
        prepare(data, RGB)
    assert reason in str(caught.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="missing"):
        prepare(str(tmp_path / "none.png"), RGB)


@pytest.mark.parametrize(
    "array",
    [np.zeros((4, 4, 2), np.uint8), np.zeros((4,), np.uint8), np.zeros((4, 4, 3), np.float32)],
)
def test_an_array_that_is_no_picture_is_refused(array: np.ndarray) -> None:
    with pytest.raises(PictureError, match="array"):
        prepare(array, RGB)


def test_reading_in_threads_leaves_the_warnings_of_the_process_as_they_were() -> None:
    chance = np.random.RandomState(0)
    noise = chance.randint(0, 256, (8, 64, 64, 3)).astype(np.uint8)
    pictures = [encoded(Image.fromarray(pixels)) for pixels in noise]
    before = list(warnings.filters)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: prepare(pictures[n % 8], Preprocess((32, 32))), range(400)))

    assert list(warnings.filters) == before
    with pytest.warns(UserWarning, match="still heard"):
        warnings.warn("still heard", stacklevel=1)


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "Git LFS"),
        (b"\n<!DOCTYPE html><html>", "web page"),
        (b"\0\0\0\x18ftypheic" + bytes(80), "HEIC"),
        (b"plain words", "not a picture"),
    ],
)
def test_what_lies_in_a_picture_s_place_is_named(start: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(start)
    for given in (start, str(tmp_path / "x.jpg")):
        with pytest.raises(PictureError, match=words):
            prepare(given, RGB)
