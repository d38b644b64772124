"""Run the model of this folder on a camera, a stream or a film, for as long as you like.

    python3 live.py                                     the source that this bundle was made for
    python3 live.py --source usb:0 --show window
    python3 live.py --source rtsp://camera/stream --web 8080
    python3 live.py --source film.mp4 --json --frames 100
    python3 live.py --mqtt mqtt://user@broker           for Home Assistant
    python3 live.py --check                             what is missing on this machine

frames.py says what --source takes. A password of MQTT can be in the environment: MQTT_PASSWORD.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import checks
import frames
from hailo_model import HERE, Answer, Model, run_program

if TYPE_CHECKING:
    from hailo_answers import State

#: Seconds between two lines of the state file and of the log.
TELL_SECONDS = 5.0


def main() -> int:
    """Read the command line, then look until stopped."""
    facts = json.loads((HERE / "hefsmith.json").read_text(encoding="utf-8"))
    options = _options(facts)
    if options.check:
        return int(checks.show(checks.look(facts, options), as_json=options.json))
    source = frames.parse_source(options.source)
    width, _, height = options.size.partition("x")
    size = (int(width), int(height))
    # systemd stops a service by SIGTERM; the camera and the chip are let go of.
    signal.signal(signal.SIGTERM, _leave)
    with Model() as model:
        if len(model.facts["inputs"]) != 1:
            msg = "this model takes several pictures at a time; use run.py"
            raise ValueError(msg)
        small = frames.small_size(size, model.preprocess) if source.kind == "picamera2" else None
        with frames.opened(source, size, small) as stream:
            Watch(model, options).run(stream)
    return 0


def _options(facts: dict[str, Any]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run the model of this folder on a camera.")
    # A service gets its settings so: no process list shows them.
    given = os.environ
    source = given.get("HEFSMITH_SOURCE") or facts.get("source", "picamera2")
    parser.add_argument("--source", default=source)
    parser.add_argument("--size", default="1280x720", help="camera frame, WIDTHxHEIGHT")
    parser.add_argument("--frames", type=int, default=0, help="stop after so many (0: never)")
    parser.add_argument("--score", type=float, default=0.3, help="leave out boxes below this score")
    parser.add_argument("--show", choices=("none", "window"), default="none")
    parser.add_argument(
        "--web", type=_port, metavar="[HOST:]PORT", help="a page for browsers",
        default=given.get("HEFSMITH_WEB"),
    )  # fmt: skip
    mqtt = given.get("HEFSMITH_MQTT")
    parser.add_argument("--mqtt", metavar="URL", help="mqtt://USER@HOST:1883", default=mqtt)
    parser.add_argument("--state", type=Path, help="keep rate and answer in this file")
    parser.add_argument("--json", action="store_true", help="one JSON object for each picture")
    parser.add_argument("--quiet", action="store_true", help="a line now and then, for a log")
    parser.add_argument("--check", action="store_true", help="say what is missing, run nothing")
    return parser.parse_args()


def _port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not port.isdigit() or int(port) > 65535:
        msg = "a port is a number up to 65535"
        raise argparse.ArgumentTypeError(msg)
    return host, int(port)


def _leave(*_: object) -> None:
    raise KeyboardInterrupt


class Watch:
    """The loop: a frame, an answer, and whoever wants to know of it."""

    def __init__(self, model: Model, options: argparse.Namespace) -> None:
        self.model, self.options = model, options
        self._done, self._told = 0, 0.0
        self._times: list[float] = []
        self._window = options.show == "window"
        self._web: Any = None
        self._mqtt: Any = None
        name = str(model.facts["model"])
        if options.web is not None:
            from preview import Preview

            host, port = options.web
            self._web = Preview(name, port, host, os.environ.get("HEFSMITH_WEB_TOKEN", ""))
            print("open %s" % self._web.address, flush=True)
        if options.mqtt:
            from homeassistant import Broker

            self._mqtt = Broker(options.mqtt, name, model.labels, model.task)

    def run(self, stream: Any) -> None:
        """Look at every frame until the source ends, the count is reached, or Ctrl-C."""
        try:
            for frame in stream:
                self._look(frame)
                if 0 < self.options.frames <= self._done:
                    return
            if not self._done:
                raise ValueError("%s has no pictures" % frames.masked(self.options.source))
            print("%d pictures, %.1f a second" % (self._done, self._rate()), file=sys.stderr)
        except KeyboardInterrupt:
            print("stopped after %d pictures" % self._done, file=sys.stderr)
        finally:
            for one in (self._web, self._mqtt):
                if one is not None:
                    one.close()

    def _look(self, frame: frames.Frame) -> None:
        shown = frame.picture.shape[:2]
        given = frame.picture if frame.small is None else frame.small
        answer = self.model.run(given, shown=shown)
        self._done += 1
        self._times = [*self._times[-29:], time.monotonic()]
        state = describe(answer, self.options.score, self._rate())
        self._tell(state)
        if self._web is not None or self._window:
            self._show(frame, answer, state)
        if self._mqtt is not None:
            self._mqtt.tell(state)

    def _rate(self) -> float:
        """Return pictures a second over the last thirty."""
        if len(self._times) < 2:
            return 0.0
        return (len(self._times) - 1) / max(self._times[-1] - self._times[0], 1e-9)

    def _tell(self, state: State) -> None:
        now = time.monotonic()
        due = self._done == 1 or now - self._told >= TELL_SECONDS
        if due:
            self._told = now
        if due and self.options.state is not None:
            part = self.options.state.with_suffix(".part")
            part.write_text(json.dumps({**state, "pictures": self._done}), encoding="utf-8")
            part.replace(self.options.state)
        if self.options.json:
            print(json.dumps(state), flush=True)
        elif due or not self.options.quiet:
            print("%6.1f FPS  %s" % (state["rate"], "; ".join(state["seen"]) or "nothing"),
                  flush=True)  # fmt: skip

    def _show(self, frame: frames.Frame, answer: Answer, state: State) -> None:
        from drawing import draw
        from PIL import Image

        def drawn() -> Any:
            return draw(Image.fromarray(frame.picture), answer, self.options.score)

        if self._web is not None:
            self._web.show(drawn, state)
        if self._window:
            import cv2
            import numpy as np

            cv2.imshow(str(self.model.facts["model"]), np.asarray(drawn())[..., ::-1])
            if cv2.waitKey(1) & 0xFF in (ord("q"), 27):
                raise KeyboardInterrupt


def describe(answer: Answer, score: float, rate: float) -> State:
    """Return an answer as plain values, with lines for people."""
    state: State = {"rate": round(rate, 1)}
    if answer.classes:
        label, sure = answer.classes[0]
        return {**state, "best": label, "sure": round(100 * sure, 1),
                "seen": ["%s %.0f %%" % (label, 100 * sure)]}  # fmt: skip
    if answer.mask is not None:
        part = 100 * float((answer.mask > 0).mean())
        seen = ["%.0f %% of the picture is not background" % part]
        return {**state, "count": 0, "counts": {}, "numbers": {}, "seen": seen}
    if not answer.finds_boxes:
        seen = [_in_short(name, value) for name, value in answer.outputs.items()]
        return {**state, "count": 0, "counts": {}, "numbers": {}, "seen": seen}
    boxes = [box for box in answer.boxes if box.score >= score]
    counts: dict[str, int] = {}
    numbers: dict[str, int] = {}
    for box in boxes:
        counts[box.label] = counts.get(box.label, 0) + 1
        numbers[str(box.number)] = numbers.get(str(box.number), 0) + 1
    seen = ["%s %.0f %%" % (box.label, 100 * box.score) for box in boxes]
    return {
        **state, "count": len(boxes), "counts": counts, "numbers": numbers, "seen": seen,
    }  # fmt: skip


def _in_short(name: str, value: Any) -> str:
    """Return a few numbers as they are, and the shape of many."""
    if value.size <= 8:
        return "%s: %s" % (name, ", ".join("%.4g" % number for number in value.ravel()))
    return "%s: %s" % (name, " x ".join(str(side) for side in value.shape))


if __name__ == "__main__":
    sys.exit(run_program(main))
