"""Measure a HEF on a device: rates, latencies, temperature, power, PCIe link, throttling.

The measuring is done by ``jobs/bench.py`` on the device. Numbers of an emulated device are
marked so, and are never compared with predictions or published figures.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from orchestrator.device.address import device_word
from orchestrator.device.joblog import number_of, text_of
from orchestrator.device.validation import (
    START_SECONDS,
    beside_jobs,
    failure_of,
    first_error,
    job_script,
    raise_if_not_the_model,
)
from orchestrator.errors import ArtifactError, DeviceError

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.device.base import JobRunner


@dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """What to measure: seconds for each phase, batch sizes, and whether hailortcli runs too."""

    seconds: float = 5.0
    warmup: float = 1.0
    batches: tuple[int, ...] = (1,)
    cli: bool = True
    image: tuple[int, int] | None = (480, 640)
    api: str = "auto"


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Milliseconds from sending a frame to having its result, one frame at a time."""

    runs: int
    mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True, kw_only=True)
class Rate:
    """Frames a second of Python with the chip kept busy, for one batch size."""

    batch: int
    fps: float
    frames: int
    watts: float | None = None


@dataclass(frozen=True, kw_only=True)
class BenchResult:
    """All that one run measured. ``None`` = the device cannot tell, or it was not asked."""

    device: str
    emulated: bool
    hailort: str | None
    machine: str | None
    api: str | None
    hw_only_fps: float | None
    streaming_fps: float | None
    hw_latency_ms: float | None
    end_to_end_fps: float | None
    latency: Latency | None
    rates: tuple[Rate, ...]
    predicted_fps: float | None
    chip_c_before: float | None
    chip_c_after: float | None
    board_c_before: float | None
    board_c_after: float | None
    watts: float | None
    power_problem: str | None
    throttled: tuple[str, ...]
    pcie_speed: str | None
    pcie_width: str | None
    seconds: float
    notes: tuple[str, ...] = ()

    @property
    def of_predicted(self) -> float | None:
        """Measured over predicted rate; never for emulated devices."""
        measured = self.hw_only_fps or self.streaming_fps
        if self.emulated or not measured or not self.predicted_fps:
            return None
        return measured / self.predicted_fps

    def to_json(self) -> dict[str, object]:
        """Return plain values."""
        return {"schema": 1, **asdict(self), "of_predicted": self.of_predicted}

    def to_csv(self) -> str:
        """Return one line per measure: name, batch, value, unit, emulated."""
        rows: list[tuple[str, int | str, float | None, str]] = [
            ("hw_only", "", self.hw_only_fps, "fps"),
            ("streaming", "", self.streaming_fps, "fps"),
            ("end_to_end", 1, self.end_to_end_fps, "fps"),
            ("hw_latency", "", self.hw_latency_ms, "ms"),
            *(("python", rate.batch, rate.fps, "fps") for rate in self.rates),
            ("chip_before", "", self.chip_c_before, "C"),
            ("chip_after", "", self.chip_c_after, "C"),
            ("power", "", self.watts, "W"),
        ]
        if self.latency is not None:
            rows.extend(
                (f"latency_{name[:-3]}", 1, getattr(self.latency, name), "ms")
                for name in ("mean_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms")
            )
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("device", "measure", "batch", "value", "unit", "emulated"))
        for name, batch, value, unit in rows:
            if value is not None:
                flag = str(self.emulated).lower()
                writer.writerow((self.device, name, batch, value, unit, flag))
        return text.getvalue()


def run_benchmark(
    runner: JobRunner,
    hef: Path,
    *,
    device: str,
    options: BenchOptions | None = None,
    predicted_fps: float | None = None,
    on_phase: Callable[[str], None] | None = None,
) -> BenchResult:
    """Measure ``hef`` on the device.

    Raises :class:`~orchestrator.device.faults.DeviceBusy` with the holder's name when another
    process has the chip, :class:`~orchestrator.errors.ArtifactError` when the HEF does not
    run there, and :class:`~orchestrator.errors.DeviceError` for the rest.
    """
    wanted = options or BenchOptions()
    phases = 4 + 2 * len(wanted.batches)

    def hear(event: Mapping[str, object]) -> None:
        if on_phase is not None and event.get("event") == "phase":
            on_phase(text_of(event.get("name")) or "")

    result = runner.run_job(
        job_script("bench"),
        files={**beside_jobs(), "model.hef": hef},
        request={
            "hef": "model.hef",
            "seconds": wanted.seconds,
            "warmup": wanted.warmup,
            "batches": list(wanted.batches),
            "cli": wanted.cli,
            "image": None if wanted.image is None else list(wanted.image),
            "api": wanted.api,
        },
        timeout=START_SECONDS + phases * (wanted.seconds + wanted.warmup) * 4,
        on_event=hear,
    )
    failure = failure_of(result)
    if failure is not None:
        raise_if_not_the_model(runner, failure, result.log)
        message = text_of(failure.get("message"))
        text = f"the HEF does not run on {device}: {first_error(result.log) or message}"
        if failure.get("kind") in ("wrong-chip", "hef"):
            raise ArtifactError(text, hint="See hef inspect FILE and hef device identify.")
        raise DeviceError(text, hint=f"See: hef doctor --device {device_word(device)}")
    return _collect(result.events, device, predicted_fps, result.seconds)


def _collect(
    events: Sequence[Mapping[str, object]],
    device: str,
    predicted_fps: float | None,
    seconds: float,
) -> BenchResult:
    hello = _first(events, "hello")
    machines = [event for event in events if event.get("event") == "machine"]
    sensors = [event for event in events if event.get("event") == "sensors"]
    results = [event for event in events if event.get("event") == "result"]
    named = {str(event.get("name")): event for event in results}
    cli = named.get("cli", {})
    latency = named.get("latency")
    before, after = _ends(sensors)
    board_before, board_after = _ends(machines)
    emulated = bool(hello.get("emulated"))
    link = board_after.get("pcie")
    pcie: Mapping[str, object] = link if isinstance(link, Mapping) else {}
    held = _throttled(board_before, board_after)
    rates = tuple(
        Rate(
            batch=int(number_of(event.get("batch")) or 1),
            fps=number_of(event.get("fps")) or 0.0,
            frames=int(number_of(event.get("frames")) or 0),
            watts=number_of(event.get("watts")),
        )
        for event in results
        if event.get("name") == "rate"
    )
    return BenchResult(
        device=device,
        emulated=emulated,
        hailort=text_of(hello.get("hailort")),
        machine=text_of(hello.get("machine")),
        api=text_of(latency.get("api")) if latency else None,
        hw_only_fps=number_of(cli.get("hw_only_fps")),
        streaming_fps=number_of(cli.get("streaming_fps")),
        hw_latency_ms=number_of(cli.get("hw_latency_ms")),
        end_to_end_fps=number_of(named.get("end_to_end", {}).get("fps")),
        latency=None if latency is None else _latency(latency),
        rates=rates,
        predicted_fps=predicted_fps,
        chip_c_before=number_of(before.get("chip_c")),
        chip_c_after=number_of(after.get("chip_c")),
        board_c_before=number_of(board_before.get("board_c")),
        board_c_after=number_of(board_after.get("board_c")),
        watts=max((rate.watts for rate in rates if rate.watts is not None), default=None),
        power_problem=text_of(after.get("power_problem")),
        throttled=held,
        pcie_speed=text_of(pcie.get("current_link_speed")),
        pcie_width=text_of(pcie.get("current_link_width")),
        seconds=seconds,
        notes=_notes(emulated, held, pcie),
    )


def _latency(event: Mapping[str, object]) -> Latency:
    names = ("mean_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms")
    figures = {name: number_of(event.get(name)) or 0.0 for name in names}
    return Latency(runs=int(number_of(event.get("runs")) or 0), **figures)


def _notes(emulated: bool, held: Sequence[str], pcie: Mapping[str, object]) -> tuple[str, ...]:
    notes = []
    if emulated:
        notes.append("emulated: the numbers are those of this machine, no chip was measured")
    if held:
        notes.append(f"the board was held back during the run: {', '.join(held)}")
    speed = str(pcie.get("current_link_speed") or "")
    if speed.startswith(("2.5", "5.0", "5 ")):
        notes.append(
            "the PCIe link is slower than generation 3: add dtparam=pciex1_gen=3 to "
            "/boot/firmware/config.txt"
        )
    return tuple(notes)


def _throttled(before: Mapping[str, object], after: Mapping[str, object]) -> tuple[str, ...]:
    """Return what is held back now, or came up since the run began."""

    def flags(event: Mapping[str, object], key: str) -> set[str]:
        found = event.get("throttling")
        listed = found.get(key) if isinstance(found, Mapping) else None
        return {text_of(item) or "" for item in listed[:50]} if isinstance(listed, list) else set()

    new = flags(after, "since_boot") - flags(before, "since_boot")
    return tuple(sorted(flags(after, "now") | flags(before, "now") | new))


def _first(events: Sequence[Mapping[str, object]], name: str) -> Mapping[str, object]:
    return next((event for event in events if event.get("event") == name), {})


def _ends(
    events: Sequence[Mapping[str, object]],
) -> tuple[Mapping[str, object], Mapping[str, object]]:
    return (events[0], events[-1]) if events else ({}, {})
