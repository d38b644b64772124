"""``hef toolchain check``: does this compiler do what we think it does?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.arguments import Json  # noqa: TC001 (typer reads it)
from orchestrator.cli.contact_output import check_output, tell_report
from orchestrator.cli.output import note
from orchestrator.errors import ConfigError, HefsmithError, StageFailed, escape_control, last_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchestrator.contact_report import ContactReport, Row
    from orchestrator.toolchain.contact import Answer
    from orchestrator.toolchain.registry import ImportedToolchain

#: Seconds for the questions, and for one build of the probe.
ASK_SECONDS = 1500.0
BUILD_SECONDS = 1500.0

EMULATOR = "emulator"

#: The network that goes through all stages: what most networks are made of, with two outputs.
_NET = """
import torch
from torch import nn


class Probe(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(7)
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.depth = nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1, groups=8), nn.ReLU(), nn.MaxPool2d(2))
        self.last = nn.Sequential(nn.Conv2d(8, 16, 1), nn.ReLU())
        self.map, self.scores = nn.Conv2d(16, 4, 1), nn.Linear(16, 5)

    def forward(self, image):
        found = self.last(self.depth(self.first(image)))
        return self.scores(found.mean((2, 3))), self.map(found)
"""

_RECIPE = """schema: 1
source: {{torch: "probe.py:Probe"}}
inputs: {{image: [1, 3, 32, 32]}}
preprocessing: {{size: [32, 32], resize: stretch, color: rgb}}
calibration: {{source: pictures, count: 8}}
optimization: {{level: {level}}}
arch: [{arch}]
validation: {{samples: 4}}
"""


def check(
    name: Annotated[
        str | None,
        typer.Argument(help="A toolchain of `hef toolchain list`, or `emulator`; default: newest."),
    ] = None,
    arch: Annotated[str | None, typer.Option("--arch", help="Chip to compile for.")] = None,
    builds: Annotated[
        bool, typer.Option("--builds/--no-builds", help="Also build a small network three times.")
    ] = True,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Where the report is written.")
    ] = Path("contact-report.json"),
    engine: Annotated[str | None, typer.Option("--engine", help="Engine that has it.")] = None,
    as_json: Json = False,
) -> None:
    """Try a compiler with a small network.

    The report has nothing private in it: attach it when you report a fault. Exit 1 where a build
    would fail.
    """
    check_output(output)
    report = look(name, arch=arch, builds=builds, engine=engine)
    tell_report(report, output, as_json=as_json)
    if not report.works:
        raise typer.Exit(1)


def look(name: str | None, *, arch: str | None, builds: bool, engine: str | None) -> ContactReport:
    """Return what a toolchain answers; its record remembers it."""
    from dataclasses import replace

    from orchestrator.contact_report import ContactReport
    from orchestrator.toolchain import contact, registry

    found = None if name == EMULATOR else _toolchain(name)
    chip = arch or (found.chips[0] if found and found.chips else "hailo8l")
    note(f"asking {found.name if found else EMULATOR} (for {chip})")
    stdout, ended = _ask_image(found, chip, engine) if found else _ask_emulator(chip)
    answers = contact.read_answers(stdout)
    rows: Sequence[Row] = contact.judge(answers, ended)
    if builds and not any(row.state == "error" for row in rows):
        rows = [*rows, *_builds(found.name if found else EMULATOR, chip, engine)]
    if found is not None:
        told = {check: f"{one.state} {one.text}".strip() for check, one in answers.items()}
        registry.save(replace(found, answers=told))
    versions = _versions(found, answers)
    return ContactReport(subject="toolchain", versions=versions, rows=tuple(rows))


def _toolchain(name: str | None) -> ImportedToolchain:
    from orchestrator.toolchain import registry

    if name is not None:
        return registry.find(name)
    known = registry.load_all()
    if not known:
        msg = "no toolchain is imported"
        raise ConfigError(msg, hint="hef toolchain import FILE, or: hef toolchain check emulator")
    return known[0]


def _versions(found: ImportedToolchain | None, answers: dict[str, Answer]) -> dict[str, str]:
    from orchestrator import __version__

    versions = dict(found.versions) if found else {"emulator": __version__}
    imported = answers.get("import")
    if imported is not None and imported.state == "yes":
        versions.setdefault("sdk", imported.text)
    return {**versions, "hefsmith": __version__}


def _ask_image(found: ImportedToolchain, chip: str, engine: str | None) -> tuple[str, str]:
    from orchestrator.engine.choose import choose_engine
    from orchestrator.toolchain import contact

    choice = choose_engine(engine or "docker")
    try:
        store = choice.engine.image_store()
        if store is None:
            msg = "toolchains are images, and the local engine has none"
            raise ConfigError(msg, hint="--engine docker, or ssh://user@host")
        argv = (found.python, "-c", contact.program(), *contact.arguments(chip))
        try:
            said = store.ask(found.image, argv, env=_quirks(), timeout=ASK_SECONDS)
        except HefsmithError as error:
            return "", error.message
        return said.stdout, "" if said.exit_code == 0 else last_line(said.stderr, "it died")
    finally:
        choice.engine.close()


def _ask_emulator(chip: str) -> tuple[str, str]:
    from orchestrator import paths
    from orchestrator.files import scratch
    from orchestrator.toolchain import contact

    modules = [*paths.emulator_path(), Path(__file__).parents[2]]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, modules))}
    argv = [sys.executable, "-P", "-c", contact.program(), *contact.arguments(chip)]
    with scratch("hefsmith-contact") as home:
        try:
            done = subprocess.run(
                argv, capture_output=True, text=True, env={**env, "HOME": str(home)},
                timeout=ASK_SECONDS, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            # What it said before it hung still counts.
            said = error.stdout or b""
            text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
            return text, f"no end after {ASK_SECONDS:.0f} s"
    return done.stdout, "" if done.returncode == 0 else last_line(done.stderr, "it died")


def _quirks() -> dict[str, str]:
    """Return what the tests plant in a stand-in for a suite; a suite knows none of it."""
    return {key: text for key, text in os.environ.items() if key == "HEFSMITH_EMULATED_QUIRKS"}


def _builds(name: str, chip: str, engine: str | None) -> Iterator[Row]:
    """Build the probe: default level, a named one, and once more from the cache."""
    from orchestrator.files import scratch

    with scratch("hefsmith-contact") as folder:
        cache = {"HEFSMITH_CACHE": str(folder / "cache")}
        for title, level, fresh in (
            ("build, default level", "auto", True),
            ("build, level 0 named", "0", True),
            ("the same build again", "0", False),
        ):
            project = write_probe(folder / "project", chip, level)
            note(f"{title} ...")
            yield build_probe(project, title, name, engine, fresh=fresh, env=cache)


def write_probe(project: Path, chip: str, level: str = "0") -> Path:
    """Write the project of a small network and return its folder."""
    model = project / "models" / "probe"
    _pictures(model / "pictures")
    _write(model / "probe.py", _NET)
    _write(model / "model.yaml", _RECIPE.format(level=level, arch=chip))
    return project


def build_probe(
    project: Path,
    title: str,
    name: str,
    engine: str | None,
    *,
    fresh: bool = False,
    env: Mapping[str, str] | None = None,
) -> Row:
    """Build the small network in a process of its own, in bounded time."""
    from orchestrator.contact_report import Row

    argv = [
        sys.executable,
        "-P",
        "-m",
        "orchestrator",
        "build",
        "probe",
        "--toolchain",
        name,
        "--json",
    ]
    argv += ["--fresh"] if fresh else []
    argv += ["--engine", engine] if engine else []
    surroundings = {
        **os.environ,
        **(env or {}),
        # The program may lie in a folder that only this process knows.
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    try:
        done = subprocess.run(
            argv, cwd=project, env=surroundings, capture_output=True, text=True,
            timeout=BUILD_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Row(check=title, state="error", found=f"no end after {BUILD_SECONDS:.0f} s")
    if done.returncode == 0:
        return Row(check=title, state="ok", found=_stages(done.stdout))
    return Row(check=title, state="error", found=_error(done.stderr or done.stdout), fix=_FIX)


_FIX = "A build would fail here. hef explain knows many messages; report it with this file."


def _stages(stdout: str) -> str:
    """Return which stages ran, from the JSON of a build."""
    try:
        document = json.loads(stdout)
        stages = document["stages"]
        ran = [name for name, one in stages.items() if not one.get("cached")]
    except (ValueError, KeyError, TypeError, AttributeError):
        return "built"
    return f"ran {', '.join(ran)}" if ran else "all stages from the cache"


def _error(text: str) -> str:
    for line in reversed(text.strip().splitlines()):
        try:
            document = json.loads(line)
            return escape_control(str(document.get("message") or document["error"]["message"]))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
    return escape_control(last_line(text, "it ended without a word"))


def _pictures(folder: Path) -> None:
    """Write eight pictures as PPM, which needs no library."""
    import numpy as np

    chance = np.random.default_rng(7)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(8):
        pixels = chance.integers(0, 256, 32 * 32 * 3).astype(np.uint8).tobytes()
        (folder / f"{number}.ppm").write_bytes(b"P6\n32 32\n255\n" + pixels)


def _write(path: Path, text: str) -> None:
    from orchestrator.files import write_atomic

    write_atomic(path, text)


def after_import(toolchain: ImportedToolchain, engine: str | None) -> None:
    """Check a toolchain that was just imported, and say in a line how it is."""
    try:
        report = look(toolchain.name, arch=None, builds=False, engine=engine)
    except HefsmithError as error:
        note(f"note: it could not be checked: {error.message}")
        return
    bad = [row for row in report.rows if row.state in ("error", "warning")]
    for row in bad:
        note(f"{row.state}: {row.check}: {row.found}")
    if not report.works:
        msg = f"{toolchain.name} is imported, but a build with it would fail"
        raise StageFailed(msg, hint=f"All of it: hef toolchain check {toolchain.name}")
    note(f"checked: {len(report.rows) - len(bad)} of {len(report.rows)} answers as expected")
