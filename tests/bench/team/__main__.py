"""Measure what a matrix costs, and how soon a clean clone is up to date from a store."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator import Project
from tests import figures
from tests.chaos.builds import Place
from tests.chaos.servers import KINDS, Served, serve
from tests.unit.matrix import trivial

MODELS, CHIPS = 50, ("hailo8l", "hailo8", "hailo8r", "hailo10h")
PROCESSES = 8


@contextmanager
def _inside(root: Path, environ: dict[str, str]) -> Iterator[None]:
    before, here = dict(os.environ), Path.cwd()
    os.environ.update(environ)
    os.chdir(root)
    try:
        yield
    finally:
        os.chdir(here)
        os.environ.clear()
        os.environ.update(before)


def cells(folder: Path) -> list[tuple[str, str]]:
    """Return what a cell of 200 costs; stages write small files, so all of it is ours."""
    root = folder / "many"
    for number in range(MODELS):
        recipe = trivial.RECIPE.replace("[hailo8l, hailo8]", f"[{', '.join(CHIPS)}]")
        trivial.make_model(root, f"net{number}", recipe)
    count = MODELS * len(CHIPS)

    def a_cell(act: Callable[[], object]) -> float:
        """Return milliseconds of a processor."""
        used = time.process_time()
        act()
        return (time.process_time() - used) / count * 1e3

    trivial.install()
    environ = {"HEFSMITH_CACHE": str(folder / "cache"), "HEFSMITH_DATA": str(folder / "data")}
    with _inside(root, environ | {"HEFSMITH_ENGINE": "local"}):
        with Project(cache=str(folder / "other")) as opened:
            alone = a_cell(lambda: [opened.make(one) for one in opened.cells(everything=True)])
        shutil.rmtree(root / "artifacts")
        with Project() as opened:
            first = a_cell(lambda: _all_built(opened))
            cached = a_cell(lambda: _all_built(opened))
    return [
        (
            f"{count} cells, each of 7 stages that write small files, as a matrix",
            f"{first:.1f} ms of a processor a cell; built one by one {alone:.1f} ms",
        ),
        (f"{count} cells of which all is there", f"{cached:.1f} ms of a processor a cell"),
    ]


def _all_built(opened: Project) -> None:
    made = opened.build_all(jobs=2)
    assert made.ok


def processes(folder: Path) -> list[tuple[str, str]]:
    """Return how often each stage ran when several processes build one recipe at once."""
    place = Place.make(folder / "one")
    words = ("build", "one", "--arch", ",".join(CHIPS[:3]), "--jobs", "3", "--json")
    began = time.monotonic()
    running = [place.start(*words, TRIVIAL_SECONDS="0.1") for _ in range(PROCESSES)]
    ends = [place.wait(one) for one in running]
    assert all(one.code == 0 for one in ends), [str(one) for one in ends]
    ran = Counter(place.runs())
    by_stage = Counter(line.split()[0] for line in ran)
    assert by_stage["export"] == by_stage["calibrate"] == 1, ran
    often = (
        f"{len(ran)} stages, each ran {max(ran.values())} time, {time.monotonic() - began:.1f} s"
    )
    return [(f"{PROCESSES} processes on one recipe for three chips", often)]


def clones(folder: Path) -> list[tuple[str, str]]:
    """Return how long a clean clone takes for the bundled model, from a store of each kind."""
    first = _hef(folder / "first", "build", "digits", "--json")
    found = [("bundled model (`digits`), built with the emulator", f"{first[0]:.1f} s")]
    for kind in KINDS:
        place = folder / kind
        place.mkdir()
        with serve(kind, place) as served:
            environ = {"HEFSMITH_STORE": served.address, **served.environ}
            _hef(folder / "first", "cache", "push", "digits", served=served, **environ)
            clone = place / "clone"
            seconds, said = _hef(clone, "build", "digits", "--json", served=served, **environ)
            stages = json.loads(said)["stages"]
            assert all(one["cached"] for one in stages.values()), stages
            found.append(
                (
                    f"the same in a clean clone with an empty cache, store: {kind}",
                    f"{seconds:.1f} s",
                )
            )
    return found


def _hef(
    root: Path, *words: str, served: Served | None = None, **environ: str
) -> tuple[float, str]:
    """Run a command in a folder of its own; return its seconds and what it printed."""
    root.mkdir(exist_ok=True)
    if served is not None and served.home is not None:
        shutil.copytree(served.home, root / "home", dirs_exist_ok=True)
    places = {f"HEFSMITH_{name.upper()}": str(root / name) for name in ("cache", "data")}
    home = {"HOME": str(root / "home"), "HEFSMITH_ENGINE": "local"}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator", *words],
        capture_output=True, text=True, cwd=root, check=False,
        env={**os.environ, **places, **home, **environ},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "going on without" not in done.stderr, done.stderr
    return time.monotonic() - began, done.stdout


def main() -> int:
    """Print the figures; write them into the page on request."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.team", description=__doc__)
    parser.add_argument("--write", action="store_true", help="into docs/team.md")
    asked = parser.parse_args()
    rows: list[tuple[str, str]] = []
    for measure in (processes, cells, clones):
        with tempfile.TemporaryDirectory(prefix="team-") as folder:
            for row in measure(Path(folder)):
                print(": ".join(row), flush=True)
                rows.append(row)
    if asked.write:
        text = figures.table(rows)
        figures.show("team.md", f"{text[:-1]}; the servers on the same machine.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
