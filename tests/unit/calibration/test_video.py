"""Films, made here, as sources: with PyAV and with OpenCV."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from hefsmith_worker.calibration import CalibrationError, InputSpec, Source, build_calibration
from hefsmith_worker.calibration.model import CalibrationRequest
from hefsmith_worker.calibration.sources import list_source
from hefsmith_worker.pictures import Preprocess
from PIL import Image

HEIGHT, WIDTH, RATE = 64, 96, 10
SPEC = InputSpec("image", Preprocess((32, 32)))


@pytest.fixture(params=["av", "cv2"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "cv2":
        monkeypatch.setitem(sys.modules, "av", None)
    return str(request.param)


def frame(number: int) -> np.ndarray:
    """Grey that grows by three levels a frame, with a red corner at the top left."""
    pixels = np.full((HEIGHT, WIDTH, 3), 40 + 3 * number, np.uint8)
    pixels[:20, :30] = (255, 0, 0)
    return pixels


def write_film(path: Path, frames: int = 60, codec: str = "mpeg4") -> Path:
    with av.open(str(path), "w") as out:
        track = out.add_stream(codec, rate=RATE)
        track.width, track.height, track.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        track.bit_rate = 4_000_000
        for number in range(frames):
            for packet in track.encode(av.VideoFrame.from_ndarray(frame(number), format="rgb24")):
                out.mux(packet)
        for packet in track.encode():
            out.mux(packet)
    return path


def listed(path: Path, tmp_path: Path, wanted: int = 100, interval_s: float = 0.5) -> list:
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    return list_source(Source(str(path), interval_s=interval_s), SPEC, scratch, wanted).items


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_frames_come_by_interval(library: str, suffix: str, tmp_path: Path) -> None:
    items = listed(write_film(tmp_path / f"film{suffix}"), tmp_path)

    assert [item.name for item in items] == [
        f"film{suffix}@{number / 2:.2f}s" for number in range(12)
    ]
    for number, item in enumerate(items):
        pixels = np.asarray(Image.open(item.path)).astype(int)
        assert pixels.shape == (HEIGHT, WIDTH, 3)
        assert abs(pixels[40:, 40:].mean() - (40 + 15 * number)) < 4, item.name
        red, green, blue = pixels[5:15, 5:25].mean((0, 1))
        assert red > 200
        assert max(green, blue) < 60


def test_a_long_film_gives_few_frames_from_all_of_it(library: str, tmp_path: Path) -> None:
    items = listed(write_film(tmp_path / "film.mp4"), tmp_path, wanted=2, interval_s=0.1)

    assert 2 <= len(items) <= 8
    assert items[-1].name > "film.mp4@4"
    assert len(list((tmp_path / "scratch").rglob("*.png"))) == len(items)


def test_a_film_that_was_taken_upright_stands_upright(library: str, tmp_path: Path) -> None:
    film = write_film(tmp_path / "phone.mp4", 12)
    data = film.read_bytes()
    one, end = 1 << 16, 1 << 30
    straight = struct.pack(">9i", one, 0, 0, 0, one, 0, 0, 0, end)
    turned = struct.pack(">9i", 0, one, 0, -one, 0, 0, HEIGHT << 16, 0, end)
    place = data.index(straight, data.index(b"tkhd"))  # the track's own, not the film's
    film.write_bytes(data[:place] + turned + data[place + len(turned) :])

    pixels = np.asarray(Image.open(listed(film, tmp_path)[0].path))

    assert pixels.shape == (WIDTH, HEIGHT, 3)
    assert pixels[5, -5, 0] > 200  # what was at the top left is at the top right now
    assert pixels[5, 5, 0] < 80


def test_a_film_becomes_a_calibration_set(library: str, tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.mp4")
    request = CalibrationRequest(
        (SPEC,), {"*": Source(str(film), interval_s=0.5)}, count=8, minimum=4, level=0,
        drop_duplicates=False, workers=0,
    )  # fmt: skip

    made = build_calibration(request, tmp_path / "out")

    assert (made.used, made.available) == (8, 12)
    array = np.load(tmp_path / "out" / made.inputs[0].file)
    seconds = [float(name.split("@")[1][:-1]) for name in made.names]
    assert np.allclose(array[:, 16:, 16:].mean((1, 2, 3)), 40 + 30 * np.array(seconds), atol=5)
    assert not list((tmp_path / "out").glob(".calibration-*"))


def test_what_is_no_film_is_told(library: str, tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(b"nothing")
    with pytest.raises(CalibrationError, match="not a film"):
        listed(tmp_path / "film.mp4", tmp_path)


def test_a_film_that_was_cut_off_gives_what_it_has_or_is_told(library: str, tmp_path: Path) -> None:
    whole = write_film(tmp_path / "whole.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(whole[: len(whole) // 2])

    items = listed(tmp_path / "cut.mkv", tmp_path)

    assert 3 <= len(items) < 12
    for item in items:
        Image.open(item.path).load()


def test_sound_without_pictures_is_told(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "sound.wav"), "w") as out:
        track = out.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        sound.rate = 8000
        for packet in track.encode(sound):
            out.mux(packet)
    (tmp_path / "sound.wav").rename(tmp_path / "sound.mp4")

    with pytest.raises(CalibrationError, match="sound but no pictures"):
        listed(tmp_path / "sound.mp4", tmp_path)


def test_without_a_library_the_way_out_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = write_film(tmp_path / "film.mp4", 5)
    for name in ("av", "cv2"):
        monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(CalibrationError, match="PyAV or OpenCV") as caught:
        listed(film, tmp_path)

    assert "ffmpeg -i" in (caught.value.fix or "")
