"""Walk the first hour in a clean home and print what it took, beside what it took before."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.integration.main_job.first_hour import WAYS, photographs
from tests.journey import maker, normalisations, proposals, situations, ways
from tests.journey.walk import program_of

#: The same walk at 02464d6, the last commit before ``hef init`` looked around: init with all its
#: options; up, which failed since importing train.py trains; the class moved into a file, and the
#: recipe told so; up, whose verdict blamed the float model; mean and deviation written; up; bundle;
#: the program. Walked by one who knew each cause at once, on the same machine.
BEFORE = maker.Cost(minutes=1.2, commands=6, edits=3)
#: Of ten ways of normalising, so many have to be found.
WANTED = 9


def main() -> int:
    """Run the parts that are asked for; return 1 where one is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.journey", description=__doc__)
    parser.add_argument("--long", action="store_true", help="also every source and normalisation")
    parser.add_argument("--engine", default="local", help="where it builds; default: local")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    sys.stdout.reconfigure(line_buffering=True)
    with tempfile.TemporaryDirectory(prefix="journey-") as place:
        wrong = _maker(Path(place, "maker"), options.engine)
        if options.long:
            wrong += _sources(Path(place, "sources"), options.engine)
            wrong += _normalisations(Path(place, "ways"))
            wrong += _proposals(Path(place, "proposals"))
    return 1 if wrong else 0


def _maker(root: Path, engine: str) -> int:
    root.mkdir()
    hour = maker.walk(root, engine=engine)
    print("The maker's hour: class folders, weights, train.py; emulated compiler and device\n")
    for step in hour.walker.steps:
        print(f"  {step.seconds:5.1f} s  {program_of(step.command)}")
    cost = hour.cost
    print(f"\n  {'':<26}{'before':>8}{'now':>8}")
    for name, then, now in zip(("minutes", "commands", "edits"), BEFORE, cost, strict=True):
        print(f"  {name:<26}{then:>8.3g}{now:>8.3g}")
    print(f"\n  {hour.verdict}")
    print(f"  the bundle on the device is right on {hour.bundle_top1:.1%} of the same photographs")
    for one in hour.wrong:
        print(f"  WRONG: {one}")
    return len(hour.wrong)


def _sources(root: Path, engine: str) -> int:
    root.mkdir()
    studio = ways.Studio(root)
    print("\nFrom a file to its verdict, without an edit\n")
    print(f"  {'source':<32}{'framework':>10}{'device':>9}{'edits':>7}{'s':>6}")
    wrong = 0
    for number, source in enumerate(ways.SOURCES):
        result = ways.walk_source(source, studio, root / str(number), engine=engine)
        wrong += bool(result.wrong)
        cells = f"{result.right:>10.1%}{result.device:>9.1%}{result.edits:>7}{result.seconds:>6.0f}"
        print(f"  {source:<32}{cells}  {'not run: ' if result.skipped else ''}{result.told}")
    return wrong


def _normalisations(root: Path) -> int:
    root.mkdir()
    photos = photographs(root / "photos")
    print("\nNormalisation found by what the network gets right\n")
    found = 0
    for way in WAYS:
        began = time.monotonic()
        told = normalisations.find(way, photos, root / way.name)
        right = normalisations.is_found(told, way)
        found += right
        section = {k: v for k, v in told["preprocessing"].items() if k != "size"}
        print(f"  {way.name:<16}{'found' if right else 'NOT FOUND':<11}"
              f"{time.monotonic() - began:4.0f} s  {section}")  # fmt: skip
    print(f"\n  {found} of {len(WAYS)} ({WANTED} are asked for)")
    return int(found < WANTED)


def _proposals(root: Path) -> int:
    root.mkdir()
    makers = situations.Makers(root / "makers")
    done = proposals.walk(situations.situations(makers, long=True), root)
    wrong = [one for one in done if one.wrong]
    typed = sum(one.step is not None for one in done)
    print(f"\nCommands that screens propose: {typed} typed, {len(done) - typed} parsed\n")
    for one in wrong:
        print(f"  WRONG, {one.situation}, after {one.after}: {one.command}: {one.wrong}")
    return len(wrong)


if __name__ == "__main__":
    sys.exit(main())
