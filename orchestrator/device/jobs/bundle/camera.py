"""Run the model of this folder on the Pi's camera, by Picamera2 (apt: python3-picamera2).

    python3 camera.py
    python3 camera.py --size 1280x720 --frames 100

Frames come as RGB: Picamera2's format BGR888 has red first in memory, RGB888 has blue first.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from hailo_model import Answer, Model, run_program


def main() -> int:
    """Read the command line, then look until stopped."""
    parser = argparse.ArgumentParser(description="Run the model of this folder on the camera.")
    parser.add_argument("--size", default="1280x720", help="camera frame, WIDTHxHEIGHT")
    parser.add_argument("--frames", type=int, default=0, help="stop after so many (0: never)")
    parser.add_argument("--score", type=float, default=0.3, help="leave out boxes below this score")
    options = parser.parse_args()
    width, _, height = options.size.partition("x")
    from picamera2 import Picamera2

    with Model() as model, Picamera2() as camera:
        wanted = {"size": (int(width), int(height)), "format": "BGR888"}
        camera.configure(camera.create_video_configuration(main=wanted))
        camera.start()
        try:
            look(model, camera, options.frames, options.score)
        except KeyboardInterrupt:
            pass
        finally:
            camera.stop()
    return 0


def look(model: Model, camera: Any, frames: int, score: float) -> None:
    """Take frames, run them, print one line for each."""
    done = 0
    start = time.monotonic()
    while not frames or done < frames:
        frame = camera.capture_array("main")
        answer = model.run(frame[..., :3])
        done += 1
        rate = done / (time.monotonic() - start)
        print("%6.1f FPS  %s" % (rate, in_words(answer, score)), flush=True)


def in_words(answer: Answer, score: float) -> str:
    """Return an answer as one line."""
    if answer.classes:
        return "%s %.0f %%" % (answer.classes[0][0], 100 * answer.classes[0][1])
    if answer.mask is not None:
        return "%.0f %% of the picture is not background" % (100 * (answer.mask > 0).mean())
    seen = [
        "%s %.0f %%" % (box.label, 100 * box.score) for box in answer.boxes if box.score >= score
    ]
    return ", ".join(seen) or "nothing"


if __name__ == "__main__":
    sys.exit(run_program(main))
