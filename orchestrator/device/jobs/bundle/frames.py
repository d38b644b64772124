"""Where pictures come from: the Pi's camera, a USB camera, a stream, a film, a folder.

    picamera2            the Pi's camera (apt: python3-picamera2); picamera2:1 is the second one
    usb:0  /dev/video0   a USB camera (apt: python3-opencv)
    rtsp://... http://...  a camera on the network
    film.mp4             a recorded film, or one picture, or a folder of pictures

Every frame comes twice where the camera can do it: one to look at, and one that is small already
for the network. All are RGB.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Iterator, Optional

if TYPE_CHECKING:
    import numpy as np

PICTURES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")

#: Seconds until a camera on the network, or one that was pulled out, is tried again.
AGAIN_SECONDS = 2.0


@dataclass(frozen=True)
class Source:
    """What a source's name says: its kind, and the address, number or path."""

    kind: str
    where: str

    @property
    def is_live(self) -> bool:
        """Whether it goes on without end, and is worth waiting for."""
        return self.kind in ("picamera2", "usb", "stream")


@dataclass
class Frame:
    """One picture (H, W, 3) RGB; ``small`` is the same for the network, where there is one."""

    picture: np.ndarray[Any, Any]
    small: Optional[np.ndarray[Any, Any]] = None


def parse_source(text: str) -> Source:
    """Read a source's name; :class:`ValueError` says what is wrong with it."""
    kind, _, rest = text.partition(":")
    if text == "picamera2" or (kind == "picamera2" and rest.isdigit()):
        return Source("picamera2", rest or "0")
    if kind == "usb" and (rest.isdigit() or not rest):
        return Source("usb", rest or "0")
    if text.startswith("/dev/video"):
        return Source("usb", text)
    if "://" in text:
        if kind not in ("rtsp", "rtsps", "http", "https", "udp", "tcp"):
            raise ValueError("no camera is reached by %s://" % kind)
        return Source("stream", text)
    path = Path(text)
    if path.is_dir():
        return Source("folder", text)
    if path.is_file():
        return Source("folder" if path.suffix.lower() in PICTURES else "film", text)
    raise ValueError("no such camera, film or folder: %s" % text)


def masked(text: str) -> str:
    """Return a source's name without the password of its address."""
    scheme, found, rest = text.partition("://")
    host, slash, path = rest.partition("/")
    if not found or "@" not in host:
        return text
    user = host.rpartition("@")[0].partition(":")[0]
    return "%s://%s:***@%s%s%s" % (scheme, user, host.rpartition("@")[2], slash, path)


def small_size(size: tuple[int, int], preprocess: Any) -> Optional[tuple[int, int]]:
    """Return (width, height) of the second stream, ``None`` where the first one does.

    ``size`` is that of the first, ``preprocess`` the network's. The camera's own scaler then does
    what would cost the processor most. Sides are even, as camera hardware needs them.
    """
    from hefsmith_worker.pictures.geometry import place

    try:
        placement = place((size[1], size[0]), preprocess)
    except ValueError:
        return None
    height, width = placement.scaled
    if height > size[1] or width > size[0] or height % 2 or width % 2 or min(height, width) < 16:
        return None
    return (width, height)


@contextmanager
def opened(
    source: Source, size: tuple[int, int], small: Optional[tuple[int, int]]
) -> Iterator[Iterator[Frame]]:
    """Open a source; yields its frames. What was opened is closed at the end of the block."""
    if source.kind == "picamera2":
        with _camera(int(source.where), size, small) as frames:
            yield frames
    elif source.kind == "folder":
        yield _pictures(Path(source.where))
    else:
        capture = _Capture(source, size)
        try:
            yield capture.frames()
        finally:
            capture.close()


@contextmanager
def _camera(
    number: int, size: tuple[int, int], small: Optional[tuple[int, int]]
) -> Iterator[Iterator[Frame]]:
    """Picamera2: the name BGR888 is by libcamera's order; its arrays have red first."""
    from picamera2 import Picamera2

    streams: dict[str, object] = {"main": {"size": size, "format": "BGR888"}}
    if small is not None:
        streams["lores"] = {"size": small, "format": "BGR888"}
    with Picamera2(number) as camera:
        try:
            camera.configure(camera.create_video_configuration(**streams))
        except (RuntimeError, ValueError):
            # Before the Pi 5, the second stream has no RGB.
            if small is None:
                raise
            small = None
            camera.configure(camera.create_video_configuration(main=streams["main"]))
        camera.start()
        try:
            yield _requests(camera, with_small=small is not None)
        finally:
            camera.stop()


def _requests(camera: Any, *, with_small: bool) -> Iterator[Frame]:
    while True:
        # One request has both streams of one moment.
        request = camera.capture_request()
        try:
            small = request.make_array("lores")[..., :3] if with_small else None
            frame = Frame(request.make_array("main")[..., :3], small)
        finally:
            request.release()
        yield frame


class _Capture:
    """OpenCV: USB cameras, streams and films. A live one that falls silent is opened again."""

    def __init__(self, source: Source, size: tuple[int, int]) -> None:
        self._source, self._size = source, size
        self._capture = self._open()
        if not self._capture.isOpened():
            raise RuntimeError("cannot open %s (is it connected, and free?)" % masked(source.where))

    def _open(self) -> Any:
        import cv2

        where = self._source.where
        capture = cv2.VideoCapture(int(where) if where.isdigit() else where)
        if self._source.kind == "usb":
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, self._size[0])
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, self._size[1])
        # A queue of old frames would show the past.
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        return capture

    def frames(self) -> Iterator[Frame]:
        import numpy as np

        while True:
            good, picture = self._capture.read()
            if good:
                yield Frame(np.ascontiguousarray(picture[..., ::-1]))
            elif self._source.is_live:
                self._capture.release()
                time.sleep(AGAIN_SECONDS)
                self._capture = self._open()
            else:
                return

    def close(self) -> None:
        self._capture.release()


def _pictures(path: Path) -> Iterator[Frame]:
    import numpy as np
    from PIL import Image, ImageOps

    files = [path] if path.is_file() else sorted(path.iterdir())
    for file in files:
        if file.suffix.lower() in PICTURES and file.is_file():
            with Image.open(file) as opened_file:
                picture = ImageOps.exif_transpose(opened_file).convert("RGB")
            yield Frame(np.array(picture))
