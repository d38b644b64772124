"""What people deploy, on the stand-in Pi: each kind of bundle, a film, a unit, a page."""

from __future__ import annotations

import io
import json
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from orchestrator.device.base import Release
from orchestrator.device.bundle import plan_bundle, write_bundle
from orchestrator.device.bundle_targets import TARGETS
from orchestrator.device.connection_pool import ConnectionPool
from orchestrator.device.deploy import SOURCE, WEB, Service, ServiceManager, written
from orchestrator.device.ship import ship
from tests.unit.runtime.test_bundle import classifier, detector

from .pi import Pi
from .pi_image import DOCKER, run

pytestmark = pytest.mark.engine

FILM = """
import cv2, numpy
film = cv2.VideoWriter("/home/pi/film.avi", cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
for _ in range(30):
    frame = numpy.zeros((48, 64, 3), numpy.uint8)
    frame[:, :32] = 250
    film.write(frame)
film.release()
cv2.imwrite("/home/pi/still.png", frame)
"""
#: The colours of boxes are bright; the picture below them is black and white.
COLOURED = 60


@pytest.fixture
def home(pi: Pi) -> Pi:
    """A Pi with a film and a picture of the same: bright on the left."""
    run(DOCKER, "exec", "-u", "pi", pi.container, "python3", "-c", FILM)
    return pi


def coloured(picture: Image.Image) -> int:
    """Return how many pixels have a colour: those that were drawn."""
    pixels = np.asarray(picture.convert("RGB")).astype(int)
    return int((pixels.max(-1) - pixels.min(-1) > COLOURED).sum())


def test_every_kind_of_bundle_runs_there(home: Pi, tmp_path: Path) -> None:
    for name, target in TARGETS.items():
        for make in (classifier, detector):
            model = make(tmp_path)
            if target.refuse(model) is not None:
                continue
            folder = tmp_path / f"{name}-{model.task}"
            write_bundle(plan_bundle(model, target), folder)
            there = f"/home/pi/{folder.name}"
            run(DOCKER, "cp", folder, f"{home.container}:{there}")
            run(DOCKER, "exec", home.container, "chown", "-R", "pi:pi", there)
            if not target.programs:
                assert home.sh(f"cd {there} && sha256sum -c SHA256SUMS", user="pi"), name
                continue
            checks = home.sh(f"cd {there} && python3 live.py --check --json --source ../film.avi"
                             " --web 8099 --mqtt mqtt://broker", user="pi")  # fmt: skip
            states = {one["name"]: one["state"] for one in json.loads(checks)}
            assert "missing" not in states.values(), (name, checks)
            assert {"chip", "cv2", "web", "paho"} <= set(states)
            film = home.sh(f"cd {there} && python3 live.py --source ../film.avi --json", user="pi")
            answers = [json.loads(line) for line in film.splitlines() if line.startswith("{")]
            assert len(answers) == 30, name
            line = f"cd {there} && python3 run.py ../still.png --json --save seen.png"
            assert json.loads(home.sh(line, user="pi")), name
            run(DOCKER, "cp", f"{home.container}:{there}/seen.png", tmp_path / "seen.png")
            drawn = coloured(Image.open(tmp_path / "seen.png"))
            assert drawn > 50, (name, drawn)


def test_a_unit_shows_a_page_with_boxes(home: Pi, pool: ConnectionPool, tmp_path: Path) -> None:
    home.sh_later("cd /home/pi && exec python3 -m http.server 9000")
    model = detector(tmp_path)
    settings = {SOURCE: "http://127.0.0.1:9000/film.avi", WEB: "8080"}
    service = Service(model="net", settings=settings)
    with pool.connect(home.spec) as session:
        with written(plan_bundle(model, TARGETS["picamera2"])) as files:
            named = {"model": service.app, "arch": model.arch, "hef": model.hef_name}
            ship(session, Release(**named, files=files))
        manager = ServiceManager(session, service)
        manager.install()
        state = manager.wait(60)
        assert state.works and state.lingers, state

        page = f"http://{home.address}:8080"
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"{page}/", timeout=10)
        assert state.page is not None
        token = state.page.partition("?")[2]
        assert coloured(first_picture(f"{page}/stream?{token}")) > 50
        manager.stop()
        assert manager.state().active == "inactive"
        manager.remove()
    assert home.sh("ls /home/pi/.config/systemd/user") == "default.target.wants"


def first_picture(address: str) -> Image.Image:
    """Return the first JPEG of a stream of parts."""
    with urllib.request.urlopen(address, timeout=20) as stream:
        data = b""
        deadline = time.monotonic() + 20
        while b"\xff\xd9" not in data and time.monotonic() < deadline:
            data += stream.read(1024)
    return Image.open(io.BytesIO(data[data.index(b"\xff\xd8") : data.index(b"\xff\xd9") + 2]))
