"""Frames of a video file, by interval, with PyAV or OpenCV, whichever is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Iterator, List, Tuple

from hefsmith_worker.calibration.items import Item, Listing
from hefsmith_worker.calibration.model import CalibrationError

SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".wmv")


def list_video(path: Path, scratch: Path, interval_s: float, limit: int) -> Listing:
    """Decode a frame every ``interval_s`` seconds into PNG files of the scratch folder.

    When that gives more than ``limit`` frames, every second one is dropped until it fits, so
    that the frames always spread over the whole film.
    """
    if interval_s <= 0:
        msg = f"{path}: interval_s must be above 0, not {interval_s:g}"
        raise CalibrationError(msg, "calib.video", None, str(path))
    folder = scratch / f"video-{len(list(scratch.iterdir()))}"
    folder.mkdir()
    kept: List[Tuple[float, Path]] = []
    stride, seen = 1, 0
    for seconds, frame in _frames(path, interval_s):
        seen += 1
        if (seen - 1) % stride:
            continue
        target = folder / f"{seconds:010.3f}.png"
        frame.save(target, compress_level=1)
        kept.append((seconds, target))
        if len(kept) >= 2 * limit:
            for _, dropped in kept[1::2]:
                dropped.unlink()
            kept = kept[0::2]
            stride *= 2
    if not kept:
        msg = f"{path}: no frame can be decoded"
        raise CalibrationError(msg, "calib.video", "Play it with ffplay to see why.", str(path))
    return Listing([Item(f"{path.name}@{seconds:.2f}s", str(file)) for seconds, file in kept])


def _frames(path: Path, interval_s: float) -> Iterator[Tuple[float, Any]]:
    try:
        import av
    except ImportError:
        av = None
    if av is not None:
        return _frames_with_av(av, path, interval_s)
    try:
        import cv2
    except ImportError:
        msg = f"{path}: a video needs PyAV or OpenCV, and neither is installed here"
        raise CalibrationError(
            msg, "calib.video.library",
            "In the recipe: export: {packages: [av]}, and for the local engine: pip install av. "
            "Or cut frames yourself: ffmpeg -i FILM -vf fps=1 frames/%05d.png",
            str(path),
        ) from None  # fmt: skip
    return _frames_with_cv2(cv2, path, interval_s)


def _frames_with_av(av: Any, path: Path, interval_s: float) -> Iterator[Tuple[float, Any]]:
    due = 0.0
    try:
        with av.open(str(path)) as film:
            if not film.streams.video:
                msg = f"{path}: has sound but no pictures"
                raise CalibrationError(msg, "calib.video", None, str(path))
            track = film.streams.video[0]
            track.thread_type = "AUTO"
            for frame in film.decode(track):
                seconds = float(frame.time or 0.0)
                if seconds + 1e-6 >= due:
                    due = max(due + interval_s, seconds + 1e-6)
                    yield seconds, _upright(frame.to_image(), getattr(frame, "rotation", 0))
    except av.error.FFmpegError as error:
        if due == 0.0:
            msg = f"{path}: not a film that can be read ({error})"
            raise CalibrationError(msg, "calib.video", None, str(path)) from None


def _upright(image: Any, degrees: int) -> Any:
    """Turn a frame as its film says (phones write upright films lying); OpenCV does so itself."""
    from PIL import Image

    turns = {90: "ROTATE_90", -90: "ROTATE_270", 180: "ROTATE_180", -180: "ROTATE_180"}
    name = turns.get(round(degrees or 0))
    if name is None:
        return image
    return image.transpose(getattr(getattr(Image, "Transpose", Image), name))


def _frames_with_cv2(cv2: Any, path: Path, interval_s: float) -> Iterator[Tuple[float, Any]]:
    from PIL import Image

    film = cv2.VideoCapture(str(path))
    if not film.isOpened():
        msg = f"{path}: not a film that OpenCV can read"
        raise CalibrationError(msg, "calib.video", None, str(path))
    rate = float(film.get(cv2.CAP_PROP_FPS)) or 25.0
    number, due = 0, 0.0
    try:
        while film.grab():
            # The film's own clock, where OpenCV tells it: the rate is a mean at best.
            seconds = float(film.get(cv2.CAP_PROP_POS_MSEC)) / 1000.0 or number / rate
            number += 1
            if seconds + 1e-6 < due:
                continue
            due = max(due + interval_s, seconds + 1e-6)
            good, frame = film.retrieve()
            if good:
                yield seconds, Image.fromarray(frame[:, :, ::-1].copy())
    finally:
        film.release()
