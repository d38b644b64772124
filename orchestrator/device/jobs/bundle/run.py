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

from hailo_model import Answer, Model, run_program


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
            }
            for box in answer.boxes
        ],
        "outputs": {
            name: list(value.shape)
            for name, value in answer.outputs.items()
            if hasattr(value, "shape")
        },
    }


def save(name: str, answer: Answer, target: Path) -> None:
    """Draw boxes or the mask over the picture."""
    from PIL import Image, ImageDraw, ImageOps

    with Image.open(name) as opened:
        picture: Any = ImageOps.exif_transpose(opened).convert("RGB")
    draw = ImageDraw.Draw(picture)
    for box in answer.boxes:
        draw.rectangle((box.left, box.top, box.right, box.bottom), outline=(255, 140, 0), width=2)
        draw.text(
            (box.left + 3, box.top + 2), "%s %.2f" % (box.label, box.score), fill=(255, 140, 0)
        )
    if answer.classes:
        draw.text((4, 4), "%s %.2f" % answer.classes[0], fill=(255, 140, 0))
    if answer.mask is not None:
        mask = Image.fromarray((answer.mask > 0).astype("uint8") * 120)
        tint = Image.new("RGB", picture.size, (255, 140, 0))
        picture.paste(tint, mask=mask.resize(picture.size))
    picture.save(target)
    print("saved %s" % target, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(run_program(main))
