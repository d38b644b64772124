"""Run the model of this folder on pictures and print what it sees.

    python3 run.py street.jpg
    python3 run.py street.jpg --save seen.png
    python3 run.py *.jpg --json

A model with several inputs takes its pictures one after the other: run.py left.png right.png
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from hailo_model import Answer, Box, Model, run_program


def main() -> int:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser(description="Run the model of this folder on pictures.")
    parser.add_argument("pictures", nargs="+", help="picture files")
    parser.add_argument("--json", action="store_true", help="one JSON object for each picture")
    parser.add_argument("--score", type=float, default=0.0, help="leave out boxes below this score")
    parser.add_argument("--save", type=Path, help="draw the answer into this file")
    options = parser.parse_args()
    missing = [name for name in options.pictures if not Path(name).is_file()]
    if missing:
        parser.error("no such file: %s" % missing[0])
    with Model() as model:
        inputs = len(model.facts["inputs"])
        if len(options.pictures) % inputs:
            parser.error("this model takes %d pictures at a time" % inputs)
        for start in range(0, len(options.pictures), inputs):
            names = options.pictures[start : start + inputs]
            answer = model.run(*names)
            answer.boxes = [box for box in answer.boxes if box.score >= options.score]
            show(names[0], answer, as_json=options.json)
            if options.save is not None:
                save(names[0], answer, options.save)
    return 0


def show(name: str, answer: Answer, *, as_json: bool) -> None:
    """Print an answer."""
    if as_json:
        print(json.dumps({"picture": name, **as_values(answer)}))
        return
    print(name)
    for label, probability in answer.classes[:5]:
        print("  %6.1f %%  %s" % (100 * probability, label))
    for box in answer.boxes:
        where = "%d,%d - %d,%d" % (box.left, box.top, box.right, box.bottom)
        print("  %6.1f %%  %-20s %s" % (100 * box.score, box.label, where))
    if answer.mask is not None:
        print(
            "  mask of %d x %d, classes %s" % (*answer.mask.shape, sorted(set(answer.mask.ravel())))
        )
    if not answer.classes and not answer.boxes and answer.mask is None:
        for stream, value in answer.outputs.items():
            print("  %s: %s" % (stream, getattr(value, "shape", "no boxes")))


def as_values(answer: Answer) -> dict[str, Any]:
    """Return an answer as plain values."""
    return {
        "classes": [[label, round(value, 6)] for label, value in answer.classes[:5]],
        "boxes": [
            {
                "label": box.label,
                "class": box.number,
                "score": round(box.score, 4),
                "box": [round(v, 1) for v in (box.left, box.top, box.right, box.bottom)],
                **extras(box),
            }
            for box in answer.boxes
        ],
        "outputs": {
            name: list(value.shape)
            for name, value in answer.outputs.items()
            if hasattr(value, "shape")
        },
    }


def extras(box: Box) -> dict[str, Any]:
    """Return what some tasks know beside the box."""
    found: dict[str, Any] = {}
    if box.points:
        found["points"] = [[round(float(v), 2) for v in point] for point in box.points]
    if box.corners:
        found["corners"] = [[round(float(v), 1) for v in corner] for corner in box.corners]
    if box.mask is not None:
        found["mask_pixels"] = int(box.mask.sum())
    return found


def save(name: str, answer: Answer, target: Path) -> None:
    """Draw the answer over the picture."""
    from drawing import draw
    from PIL import Image, ImageOps

    with Image.open(name) as opened:
        picture: Any = ImageOps.exif_transpose(opened).convert("RGB")
    draw(picture, answer).save(target)
    print("saved %s" % target, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(run_program(main))
