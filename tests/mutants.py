"""Changes of the code that no test notices: ``python -m tests.mutants ROOM... [--sample N]``.

Needs ``mutmut``. It works on a copy in which a module stands where its import says (``src``
leads to the worker), and runs a random sample of what it can change, each by the tests that reach
it. Tables are not changed, and what runs once before ``mutmut`` starts counts as survived.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]

#: Where the code of a room stands in the copy, and the tests that are of it or name it.
ROOMS = {
    "contract": ("src/hefsmith_worker/contract", "contract script report"),
    "device": ("orchestrator/device", "device"),
    "diagnose": ("orchestrator/diagnose", "diagnose"),
    "pipeline": ("orchestrator/pipeline", "pipeline"),
    "report": ("orchestrator/report", "report"),
}

SETTINGS = """
[tool.mutmut]
source_paths = {sources}
pytest_add_cli_args_test_selection = {tests}
pytest_add_cli_args = ["-m", "not slow", "-p", "no:xdist"]
also_copy = ["compose.yaml", "CONTRIBUTING.md", "docker", "docs", "models", "orchestrator", "src"]
"""

#: Programs that a test starts run the code as it is: they could not find mutmut's settings.
ALONE = """

@pytest.fixture(autouse=True)
def programs_run_the_code_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MUTANT_UNDER_TEST", raising=False)
"""

#: Exit codes of the tests for a change that none noticed, and for one that none reaches.
UNNOTICED = (0, 5, 33)


#: Says of a folder that it is a copy that was kept, and may be made anew.
MARK = ".mutants"


def clear(folder: Path) -> None:
    """Make an empty folder; results of an earlier run would count as ones of this.

    Raises ``SystemExit`` for a folder that holds something else than an earlier copy.
    """
    if folder.is_dir() and any(folder.iterdir()):
        if not (folder / MARK).is_file():
            sys.exit(f"{folder} holds something else than an earlier copy: name another folder")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).touch()


def prepare(copy: Path, sources: list[str], tests: list[str]) -> None:
    """Copy what git has and put the settings in."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (REPOSITORY / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, copy / name)
    (copy / "src").symlink_to("docker/worker")
    with (copy / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(SETTINGS.format(sources=json.dumps(sources), tests=json.dumps(tests)))
    with (copy / "tests/conftest.py").open("a", encoding="utf-8") as file:
        file.write(ALONE)


def mutmut(copy: Path, *names: str) -> None:
    """Make the changes and run those that are named."""
    places = (copy / "mutants/docker/worker", copy / "docker/emulator/packages")
    subprocess.run(
        [sys.executable, "-m", "mutmut", "run", *names], cwd=copy, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, places))},
    )  # fmt: skip


def results(copy: Path) -> dict[str, int | None]:
    """Return the exit code of the tests for each change, ``None`` where it was not run."""
    found: dict[str, int | None] = {}
    for meta in sorted((copy / "mutants").rglob("*.meta")):
        found.update(json.loads(meta.read_text(encoding="utf-8"))["exit_code_by_key"])
    return found


def main() -> None:
    """Print the changes that survived, and how many of how many were noticed."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("room", choices=ROOMS)
    parser.add_argument("files", nargs="*", help="files of the room; default: all")
    parser.add_argument("--sample", type=int, default=60)
    parser.add_argument("--seed", type=int, default=14)
    parser.add_argument(
        "--keep",
        type=Path,
        help="the copy's folder, for `mutmut show NAME`; made anew if it is there",
    )
    asked = parser.parse_args()
    source, tests = ROOMS[asked.room]
    for name in asked.files:
        # Else it is found out after a run of the tests, as "0 of 0 changes".
        if not (REPOSITORY / source.replace("src/", "docker/worker/", 1) / name).is_file():
            parser.error(f"no file {name} in {asked.room}")
    sources = [f"{source}/{name}" for name in asked.files] or [source]
    with tempfile.TemporaryDirectory(prefix="mutants-") as scratch:
        copy = asked.keep or Path(scratch)
        clear(copy)
        prepare(copy, sources, [f"tests/unit/{name}" for name in tests.split()])
        mutmut(copy, "nothing")  # makes them all and stops
        every = sorted(results(copy))
        mutmut(copy, *random.Random(asked.seed).sample(every, min(asked.sample, len(every))))
        codes = {name: code for name, code in results(copy).items() if code is not None}
    missed = [name for name, code in codes.items() if code in UNNOTICED]
    print("\n".join(missed))
    print(f"{len(codes)} of {len(every)} changes, {len(codes) - len(missed)} noticed")


if __name__ == "__main__":
    main()
