"""``hef bench``: how fast the model is on the device, and what holds it back."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 (typer reads it)
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.arguments import Arch, Device, Json, Model  # noqa: TC001 (typer reads them)

if TYPE_CHECKING:
    from orchestrator.device.benchmark import BenchResult


def register(app: typer.Typer) -> None:
    """Add ``bench`` to the application."""
    epilog = "Example: hef bench digits --device pi5 --batch 1,8"
    app.command("bench", epilog=epilog)(_bench)


def _bench(
    model: Model,
    device: Device = None,
    arch: Arch = None,
    seconds: Annotated[
        float, typer.Option("--seconds", min=0.1, help="Time for each measurement.")
    ] = 5.0,
    warmup: Annotated[float, typer.Option("--warmup", min=0.0, help="Seconds before it.")] = 1.0,
    batch: Annotated[str, typer.Option("--batch", help="Batch sizes, with commas.")] = "1",
    frame: Annotated[
        str, typer.Option("--frame", help="Camera frame for end to end, HEIGHTxWIDTH; or none.")
    ] = "480x640",
    python_only: Annotated[
        bool, typer.Option("--python-only", help="Leave hailortcli's own measurements out.")
    ] = False,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", help="Write the numbers there, too.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure rate, latency, temperature and power on the device. A busy chip is refused."""
    from orchestrator.cli.output import emit_json, note
    from orchestrator.cli.proving import device_for
    from orchestrator.device.benchmark import BenchOptions, run_benchmark
    from orchestrator.hef import read_hef

    options = BenchOptions(
        seconds=seconds,
        warmup=warmup,
        batches=_batches(batch),
        cli=not python_only,
        image=_frame(frame),
    )
    with device_for(model, arch, device) as (session, build, identity):
        emulated = " (emulated: no chip is measured)" if identity.emulated else ""
        note(f"measuring {build.hef.name} on {session.spec.name}{emulated}")
        hef = read_hef(build.hef)
        result = run_benchmark(
            session,
            build.hef,
            device=session.spec.name,
            options=options,
            predicted_fps=None if hef.emulated else hef.group().predicted_fps,
            on_phase=lambda name: note(f"  {name}"),
        )
    if csv_file is not None:
        from orchestrator.files import write_atomic

        write_atomic(csv_file, result.to_csv())
    if as_json:
        emit_json({"model": build.model, "arch": build.arch, **result.to_json()})
    else:
        _print(result)


def _batches(text: str) -> tuple[int, ...]:
    from orchestrator.errors import ConfigError, escape_control

    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() and 1 <= int(part) <= 16 for part in parts):
        msg = f"--batch: {escape_control(text)!r} is not a list of sizes from 1 to 16"
        raise ConfigError(msg, hint="For example: --batch 1,8")
    return tuple(dict.fromkeys(int(part) for part in parts))


def _frame(text: str) -> tuple[int, int] | None:
    from orchestrator.errors import ConfigError, escape_control

    if text == "none":
        return None
    height, cross, width = text.partition("x")
    if not (cross and height.isdigit() and width.isdigit() and int(height) and int(width)):
        msg = f"--frame: {escape_control(text)!r} is not HEIGHTxWIDTH"
        raise ConfigError(msg, hint="For example: --frame 480x640, or none")
    return int(height), int(width)


def _print(result: BenchResult) -> None:
    from orchestrator.cli.output import note, print_result
    from orchestrator.language import told

    mark = "  EMULATED" if result.emulated else ""
    print_result(f"{result.device}  HailoRT {result.hailort or '?'}{mark}")
    lines = [
        (told("hardware only"), result.hw_only_fps, "FPS"),
        (told("streaming"), result.streaming_fps, "FPS"),
        *((told(f"Python, batch {rate.batch}"), rate.fps, "FPS") for rate in result.rates),
        (told("end to end (camera frame to result)"), result.end_to_end_fps, "FPS"),
        (told("latency of the chip"), result.hw_latency_ms, "ms"),
    ]
    if result.latency is not None:
        lines += [
            (told("latency from Python, p50"), result.latency.p50_ms, "ms"),
            (told("latency from Python, p95"), result.latency.p95_ms, "ms"),
            (told("latency from Python, p99"), result.latency.p99_ms, "ms"),
        ]
    lines += [
        (told("chip temperature before"), result.chip_c_before, "C"),
        (told("chip temperature after"), result.chip_c_after, "C"),
        (told("board temperature after"), result.board_c_after, "C"),
        (told("power drawn"), result.watts, "W"),
    ]
    for name, value, unit in lines:
        if value is not None:
            print_result(f"  {name:<36} {value:10.2f} {unit}")
    if result.pcie_speed:
        print_result(f"  {told('PCIe link'):<36} {result.pcie_speed} x{result.pcie_width}")
    if result.of_predicted is not None:
        print_result(f"  {told('of the predicted rate'):<36} {result.of_predicted:10.0%}")
    for text in result.notes:
        note(f"note: {text}")
