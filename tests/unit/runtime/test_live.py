"""The programs of a bundle on cameras, films and the network, in processes of their own."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from orchestrator.device.bundle import plan_bundle, write_bundle
from orchestrator.device.bundle_model import BundleInput
from orchestrator.device.bundle_targets import TARGETS
from tests.unit.runtime.runner import emulated_environment
from tests.unit.runtime.test_bundle import STRETCH, classifier, detector, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ORANGE = (230, 159, 0)

#: Picamera2 as its own sources have it: a request gives both streams of one moment, the second
#: stream may not be larger than the first, and has no RGB before the Pi 5.
PICAMERA2 = """
import os
import numpy as np

class Request:
    def __init__(self, streams):
        self._streams, self._released = streams, False
    def make_array(self, name):
        assert not self._released
        width, height = self._streams[name]["size"]
        picture = np.zeros((height, width, 3), np.uint8)
        picture[:, : width // 2] = 240
        picture.flags.writeable = False
        return picture
    def release(self):
        self._released = True

class Picamera2:
    def __init__(self, camera_num=0):
        assert camera_num < len(self.global_camera_info())
    @staticmethod
    def global_camera_info():
        return [{"Model": "imx708", "Num": 0}]
    def __enter__(self): return self
    def __exit__(self, *exc): print("closed", flush=True)
    def create_video_configuration(self, main=None, lores=None):
        streams = {"main": main} if lores is None else {"main": main, "lores": lores}
        for stream in streams.values():
            assert stream["format"] == "BGR888"
            assert not any(side % 2 for side in stream["size"])
        if lores is not None:
            if os.environ.get("PI") == "4":
                raise RuntimeError("lores stream must be YUV")
            if any(a > b for a, b in zip(lores["size"], main["size"])):
                raise RuntimeError("lores stream dimensions may not exceed main stream")
        return streams
    def configure(self, streams): self._streams = streams
    def start(self): print("streams", sorted(self._streams), flush=True)
    def stop(self): print("stopped", flush=True)
    def capture_request(self): return Request(self._streams)
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A detector's bundle beside a folder of pictures; what is lit is a lamp."""
    folder = tmp_path / "bundle"
    write_bundle(plan_bundle(detector(tmp_path), TARGETS["picamera2"]), folder)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    half_lit().save(pictures / "a.png")
    Image.new("RGB", (64, 48)).save(pictures / "b.png")
    (pictures / "notes.txt").write_text("no picture")
    return folder


def half_lit() -> Image.Image:
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[:, :32] = 250
    return Image.fromarray(pixels)


@pytest.mark.slow
def test_a_folder_of_pictures_is_a_source(bundle: Path) -> None:
    done = run(bundle, "live.py", "--source", "../pictures", "--json", "--state", "state.json")
    assert done.returncode == 0, done.stderr
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert first["counts"] == {"lamp": first["count"]}
    assert first["count"] > 0
    assert second["count"] == 0
    assert json.loads((bundle / "state.json").read_text())["pictures"] == 1
    assert not (bundle / "state.part").exists()


@pytest.mark.parametrize(("board", "streams"), [("5", "['lores', 'main']"), ("4", "['main']")])
@pytest.mark.slow
def test_the_pi_camera_gives_both_streams_where_it_can(
    bundle: Path, board: str, streams: str
) -> None:
    (bundle / "picamera2.py").write_text(PICAMERA2)
    # 16 x 16 letterboxed from 4:3 is 16 x 12; the camera's scaler makes that.
    facts = json.loads((bundle / "hefsmith.json").read_text())
    assert facts["inputs"][0]["preprocess"]["size"] == [16, 16]
    done = run(bundle, "live.py", "--size", "64x64", "--frames", "3", "--json", PI=board)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == f"streams {streams}"
    assert lines[-2:] == ["stopped", "closed"]
    answers = [json.loads(line) for line in lines[1:-2]]
    assert len(answers) == 3
    assert all(set(answer["counts"]) == {"lamp"} for answer in answers)


@pytest.mark.slow
def test_boxes_of_the_small_stream_are_in_the_pixels_of_the_large_one(bundle: Path) -> None:
    code = """
import json
import numpy as np
from PIL import Image
from hailo_model import Model
import frames
picture = np.zeros((64, 128, 3), np.uint8)
picture[:, :64] = 250
with Model() as model:
    print(frames.small_size((128, 64), model.preprocess))
    print(frames.small_size((90, 90), model.preprocess))
    whole = model.run(picture)
    small = np.asarray(Image.fromarray(picture).resize((16, 8)))
    seen = model.run(small, shown=(64, 128))
sides = lambda answer: [[b.top, b.left, b.bottom, b.right] for b in answer.boxes]
print(json.dumps([sides(whole), sides(seen)]))
"""
    done = run(bundle, "-c", code)
    assert done.returncode == 0, done.stderr
    size, square, boxes = done.stdout.splitlines()
    assert size == "None"  # 16 x 8 is below what cameras scale to
    assert square == "(16, 16)"
    whole, seen = json.loads(boxes)
    assert whole
    assert np.allclose(whole, seen, atol=0.5)
    assert max(row[3] for row in seen) > 60


@pytest.mark.slow
def test_sigterm_lets_go_of_camera_and_chip(bundle: Path) -> None:
    (bundle / "picamera2.py").write_text(PICAMERA2)
    with started(bundle, "--size", "64x64") as process:
        assert process.stdout is not None
        while "FPS" not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
        assert process.wait(timeout=120) == 0
    assert rest.splitlines()[-2:] == ["stopped", "closed"]


@contextmanager
def started(folder: Path, *argv: str, **env: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "live.py", *argv],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=emulated_environment(**env),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def page(folder: Path) -> Iterator[str]:
    """Run the camera program with its page; yields the address, on loopback."""
    (folder / "picamera2.py").write_text(PICAMERA2)
    arguments = ("--size", "640x480", "--web", "127.0.0.1:0", "--quiet")
    with started(folder, *arguments) as process:
        assert process.stdout is not None
        found = None
        while found is None:
            line = process.stdout.readline()
            assert line, "the program ended before it told its address"
            found = re.match(r"open http://[^:]+:(\d+)/\?token=(\S+)", line)
        yield f"http://127.0.0.1:{found[1]}/?token={found[2]}"


def refused(address: str) -> int:
    """Return the status with which an address is not answered."""
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(address, timeout=120)
    caught.value.close()
    return caught.value.code


@pytest.mark.slow
def test_the_page_is_for_those_who_have_the_token(bundle: Path) -> None:
    with page(bundle) as address:
        root, _, token = address.partition("?token=")
        for path in ("", "stream", "answer", "hefsmith.json"):
            for query in ("", "?token=", "?token=x", f"?token={token}x", "?token=%ff"):
                assert refused(root + path + query) == 403
        with urllib.request.urlopen(address, timeout=120) as answer:
            policy = answer.headers["Content-Security-Policy"]
            text = answer.read().decode()
        assert "default-src 'none'" in policy
        assert token not in text
        with urllib.request.urlopen(f"{root}answer?token={token}", timeout=120) as answer:
            assert set(json.load(answer)) >= {"rate", "seen"}
        assert refused(f"{root}hefsmith.json?token={token}") == 404


@pytest.mark.slow
def test_the_stream_has_boxes_drawn_and_seats_for_eight(bundle: Path) -> None:
    import io

    with page(bundle) as address:
        stream = address.replace("/?", "/stream?")
        seats = [urllib.request.urlopen(stream, timeout=120) for _ in range(8)]
        try:
            assert refused(stream) == 503
            assert seats[0].readline().startswith(b"--")
            headers = {}
            while line := seats[0].readline().strip():
                name, _, value = line.decode().partition(": ")
                headers[name] = value
            jpeg = seats[0].read(int(headers["Content-Length"]))
        finally:
            for seat in seats:
                seat.close()
    pixels = np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")).astype(int)
    assert pixels.shape == (480, 640, 3)
    near = (abs(pixels - ORANGE) < 40).all(axis=-1)
    assert near.sum() > 500


@pytest.mark.skipif(shutil.which("chromium") is None, reason="there is no browser here")
@pytest.mark.slow
def test_a_phone_shows_the_page(bundle: Path, tmp_path: Path) -> None:
    shot = tmp_path / "phone.png"
    with page(bundle) as address:
        # A stream never ends, so the browser is given its time and then asked for a picture.
        subprocess.run(
            [
                "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                "--window-size=390,700", f"--user-data-dir={tmp_path / 'profile'}",
                "--timeout=4000", f"--screenshot={shot}", address,
            ],
            capture_output=True,
            timeout=90,
            check=False,
        )  # fmt: skip
    pixels = np.asarray(Image.open(shot).convert("RGB")).astype(int)
    near = (abs(pixels - ORANGE) < 60).all(axis=-1)
    assert near.sum() > 200, "no boxes are drawn on the page"
    assert near[:, :].any(axis=0).nonzero()[0].max() < 390


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.slow
def test_home_assistant_finds_the_device(bundle: Path, version: str) -> None:
    """paho-mqtt's client, both of its interfaces: what it is told is what is looked at."""
    (bundle / "paho" / "mqtt").mkdir(parents=True)
    (bundle / "paho" / "__init__.py").touch()
    (bundle / "paho" / "mqtt" / "__init__.py").touch()
    (bundle / "paho" / "mqtt" / "client.py").write_text(
        "import os\n"
        "if os.environ['PAHO'] == '2':\n"
        "    class CallbackAPIVersion:\n"
        "        VERSION2 = 'two'\n"
        "class Info:\n"
        "    def wait_for_publish(self, timeout=None): pass\n"
        "class Client:\n"
        "    def __init__(self, *first, client_id=''):\n"
        "        assert first == (('two',) if os.environ['PAHO'] == '2' else ())\n"
        "    def username_pw_set(self, username, password=None):\n"
        "        assert (username, password) == ('me', 'secret')\n"
        "    def will_set(self, topic, payload=None, qos=0, retain=False):\n"
        "        print('will', topic, payload, retain)\n"
        "    def connect_async(self, host, port=1883): print('connect', host, port)\n"
        "    def loop_start(self): self.on_connect(self, None, None, 0, None)\n"
        "    def loop_stop(self): pass\n"
        "    def disconnect(self): print('gone')\n"
        "    def publish(self, topic, payload=None, qos=0, retain=False):\n"
        "        print('publish', topic, payload)\n"
        "        return Info()\n"
    )
    done = run(
        bundle, "live.py", "--source", "../pictures", "--mqtt", "mqtt://me@home", "--quiet",
        MQTT_PASSWORD="secret", PAHO=version,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "connect home 1883" in done.stdout
    assert "will hefsmith/net/online offline True" in done.stdout
    told = dict(
        line.split(" ", 2)[1:] for line in done.stdout.splitlines() if line.startswith("publish")
    )
    lamp = json.loads(told["homeassistant/binary_sensor/hefsmith_net/class0/config"])
    assert lamp["state_topic"] == "hefsmith/net/state"
    assert lamp["availability_topic"] == "hefsmith/net/online"
    assert "lamp" not in lamp["value_template"]
    assert "numbers.get('0', 0)" in lamp["value_template"]
    states = [
        json.loads(line.split(" ", 2)[2])
        for line in done.stdout.splitlines()
        if line.startswith("publish hefsmith/net/state")
    ]
    assert [state["count"] > 0 for state in states] == [True, False]
    assert [bool(state["numbers"].get("0")) for state in states] == [True, False]
    assert told["hefsmith/net/online"] == "offline"


@pytest.mark.slow
def test_a_check_names_what_is_missing_and_the_package(bundle: Path) -> None:
    done = run(bundle, "live.py", "--check", "--json")
    assert done.returncode == 1
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["numpy"]["state"] == "ok"
    assert rows["chip"]["state"] == "warning"
    assert "emulated" in rows["chip"]["fix"]
    assert rows["picamera2"]["fix"] == "sudo apt install python3-picamera2"
    busy = run(bundle, "live.py", "--check", "--json", HEFSMITH_EMULATED_FAULT="device_busy")
    row = {row["name"]: row for row in json.loads(busy.stdout)}["chip"]
    assert row["state"] == "missing"
    assert "another program has the chip" in row["fix"]


@pytest.mark.slow
def test_a_check_takes_the_packages_of_the_chip_s_line(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    model = replace(detector(tmp_path), arch="hailo10h")
    write_bundle(plan_bundle(model, TARGETS["python"]), folder)
    bare = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "live.py", "--check", "--json", "--source", "usb:77"],
        cwd=folder,
        env=bare,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["hailo_platform"]["fix"] == "sudo apt install python3-h10-hailort"
    assert "python3-h10-hailort" in (folder / "README.md").read_text()


@pytest.mark.parametrize(
    ("source", "words"),
    [("nothing", "no such camera"), ("ftp://a/b", "ftp://"), ("../pictures/notes.txt", "")],
)
@pytest.mark.slow
def test_a_source_that_is_none_is_one_line(bundle: Path, source: str, words: str) -> None:
    done = run(bundle, "live.py", "--source", source)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert words in done.stderr.splitlines()[0]


def test_a_password_of_a_camera_is_not_shown(bundle: Path) -> None:
    code = (
        "import frames\n"
        "print(frames.masked('rtsp://me:secret@10.0.0.2:554/live'))\n"
        "print(frames.masked('film.mp4'))\n"
    )
    done = run(bundle, "-c", code)
    assert done.stdout.splitlines() == ["rtsp://me:***@10.0.0.2:554/live", "film.mp4"]


@pytest.mark.slow
def test_a_classifier_says_its_best_class(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    write_bundle(plan_bundle(classifier(tmp_path), TARGETS["usb"]), folder)
    half_lit().save(tmp_path / "a.png")
    done = run(folder, "live.py", "--source", "../a.png", "--json")
    assert done.returncode == 0, done.stderr
    state = json.loads(done.stdout)
    assert state["best"] in "abcde"
    assert 0 < state["sure"] <= 100


def test_ultralytics_gets_what_its_backend_reads(tmp_path: Path) -> None:
    import yaml

    model = detector(tmp_path)
    color = replace(model, inputs=[BundleInput(name="net/input_layer1", preprocess=STRETCH)])
    target = TARGETS["ultralytics"]
    folder = tmp_path / target.folder_of(color)
    assert folder.name == "net_hailo_model"
    write_bundle(plan_bundle(color, target, folder.name), folder)
    assert [path.suffix for path in sorted(folder.iterdir())].count(".hef") == 1
    metadata = yaml.safe_load((folder / "metadata.yaml").read_text())
    assert metadata["task"] == "detect"
    assert metadata["nms"] is True
    assert metadata["names"] == {0: "lamp", 1: "cat", 2: "dog"}
    assert metadata["imgsz"] == [8, 8]
    assert metadata["stride"] == 8
    assert "net_hailo_model" in (folder / "README.md").read_text()


@pytest.mark.slow
def test_a_stopped_program_frees_its_port_at_once(bundle: Path) -> None:
    with page(bundle) as address:
        port = address.partition("127.0.0.1:")[2].partition("/")[0]
    time.sleep(0.1)
    done = run(bundle, "live.py", "--check", "--json", "--web", f"127.0.0.1:{port}")
    assert {row["name"]: row["state"] for row in json.loads(done.stdout)}["web"] == "ok"
