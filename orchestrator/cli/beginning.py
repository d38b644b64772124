"""``hef`` alone: the three things to do next in this folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Step:
    """A command, and what it is for."""

    command: str
    purpose: str


def next_steps(
    models: Sequence[str],
    built: Sequence[str],
    *,
    recipe_broken: str | None = None,
    devices: Sequence[str] = (),
) -> list[Step]:
    """Return the three things to do next: pure, by the models of a folder and those built."""
    if recipe_broken is not None:
        return [
            Step("hef config show", "says what is wrong in a file of this project"),
            Step("hef doctor", "look for what is missing on this machine"),
            Step("hef --help", "every command"),
        ]
    reach = Step("hef device add NAME USER@HOST", "add your Pi")
    if devices:
        reach = Step(f"hef doctor --device {devices[0]}", "look at your Pi: card, driver, versions")
    if not models and built:
        return [
            Step("hef init", "look around in this folder and write a recipe for your network"),
            Step(f"hef report {built[0]}", "open the last build's report"),
            reach,
        ]
    if not models:
        return [
            Step("hef init", "look around in this folder and write a recipe for your network"),
            Step("hef up digits", "build the bundled demo, ship it and prove it"),
            Step("hef doctor", "look for what is missing on this machine"),
        ]
    open_ones = [name for name in models if name not in built]
    if open_ones:
        name = open_ones[0]
        return [
            Step(f"hef up {name}", "build it, ship it to the device and prove it there"),
            Step(f"hef calib preview {name}", "see the pictures as the network gets them"),
            reach,
        ]
    name = models[0]
    return [
        Step(f"hef report {name}", "open the last build's report"),
        Step(f"hef bundle {name}", "make a program with its HEF for the camera"),
        Step(f"hef up {name}", "build again what has changed"),
    ]


def print_next_steps() -> None:
    """Print them for the current folder, on stdout."""
    from orchestrator.cli.output import print_result
    from orchestrator.device.registry import read_user_devices
    from orchestrator.errors import ConfigError, escape_control
    from orchestrator.language import told
    from orchestrator.project.settings import resolve
    from orchestrator.project.workspace import BUNDLED_MODEL, open_workspace

    broken = None
    models: list[str] = []
    built: list[str] = []
    devices: list[str] = []
    try:
        devices = sorted(read_user_devices())
        workspace = open_workspace()
        models = workspace.model_names()
        known = [*models, BUNDLED_MODEL]
        results = resolve(workspace).artifacts_of(workspace)
        built = [name for name in known if any(results.glob(f"{name}/*/build.json"))]
    except ConfigError as error:
        broken = error.message
    steps = next_steps(models, built, recipe_broken=broken, devices=devices)
    wide = max(len(step.command) for step in steps)
    print_result(
        told("hefsmith: from a trained network to a HEF that is proven on your Raspberry Pi")
    )
    print_result(f"{told('next')}:")
    for step in steps:
        print_result(f"  {escape_control(step.command):<{wide}}  {told(step.purpose)}")
    print_result(told("every command: hef --help"))
