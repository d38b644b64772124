"""``run``, ``run2`` and ``benchmark``: rates and latencies of ONNX Runtime on this machine.

The layout of the output is the vendor's; the numbers say nothing about any chip, and a line
on stderr says so.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from hailo_emulator.runtime.cli.usage import REQUIRES, UsageError
from hailo_emulator.runtime.device import TEMPERATURE_C
from hailo_emulator.runtime.formats import FormatType, dtype_of
from hailo_emulator.runtime.hef import HEF
from hailo_emulator.runtime.settings import DEVICE_ID
from hailo_emulator.runtime.status import exception_from_status, log
from hailo_emulator.runtime.vdevice import VDevice

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from numpy.typing import NDArray

    from hailo_emulator.runtime.network import LoadedNetwork
    from hailo_emulator.runtime.settings import Setup

DEFAULT_SECONDS = 5
CSV_HEADER = (
    "net_name,status,status_description,fps,num_of_frames,send_rate,recv_rate,hw_latency,"
    "overall_latency,min_power,average_power,max_power,min_current,average_current,max_current,"
    "min_temp,average_temp,max_temp"
)
BENCHMARK_CSV_HEADER = (
    "net_name,fps,hw_only_fps,num_of_frames,num_of_frames_hw_only,hw_latency,overall_latency,"
    "min_power,average_power,max_power"
)


@dataclass(frozen=True)
class Measurement:
    """What one phase found; rates in frames and megabits a second, latencies in ms."""

    frames: int
    seconds: float
    send_mbit: float
    recv_mbit: float
    hw_latency_ms: float
    overall_latency_ms: float

    @property
    def fps(self) -> float:
        """Frames a second."""
        return self.frames / self.seconds


class Runner:
    """A loaded model and frames of noise to feed it."""

    def __init__(self, network: LoadedNetwork, user_type: FormatType = FormatType.AUTO) -> None:
        self.network = network
        self.inputs = {name: network.resolve(name, user_type) for name in network.inputs}
        outputs = {
            name: FormatType.AUTO if info.nms else user_type
            for name, info in network.outputs.items()
        }
        self.outputs = {name: network.resolve(name, kind) for name, kind in outputs.items()}
        noise = np.random.default_rng(0)
        self._frame: dict[str, NDArray[np.generic]] = {
            name: noise.integers(0, 256, info.buffer_shape).astype(dtype_of(info.format.type))
            for name, info in self.inputs.items()
        }

    def measure(self, *, seconds: float | None, frames: int | None) -> Measurement:
        """Send frames one after the other for so long, or so many."""
        sent = 0
        chip = 0.0
        start = time.perf_counter()
        while True:
            before = time.perf_counter()
            self.network.run_frame(self._frame, self.outputs)
            now = time.perf_counter()
            chip += now - before
            sent += 1
            elapsed = now - start
            if (frames is not None and sent >= frames) or (
                frames is None and elapsed >= (seconds or DEFAULT_SECONDS)
            ):
                break
        bits_in = sum(array.nbytes for array in self._frame.values()) * 8
        bits_out = sum(
            int(np.prod(info.buffer_shape)) * dtype_of(info.format.type).itemsize * 8
            for info in self.outputs.values()
        )
        rate = sent / elapsed / 1e6
        latency = chip / sent * 1000
        overall = elapsed / sent * 1000
        return Measurement(sent, elapsed, bits_in * rate, bits_out * rate, latency, overall)


def _load(options: argparse.Namespace) -> tuple[VDevice, LoadedNetwork]:
    log(
        "warning",
        "emulated by hefsmith: no Hailo chip is here, and no number below measures one",
        source="HailoRT CLI",
    )
    hef = HEF(str(options.hef))
    device = VDevice(device_ids=options.device_ids)
    return device, device.load(hef)


def _refuse_power(options: argparse.Namespace) -> None:
    for word in ("power", "current"):
        if getattr(options, f"measure_{word}"):
            log(
                "error",
                f"{word.capitalize()} measurement not supported. Disable the measure-{word} option",
                source="HailoRT CLI",
            )
            raise exception_from_status(6)


def run(setup: Setup, options: argparse.Namespace) -> int:
    """``run``: one model, streaming or hardware only. On 5.x not for PCIe cards."""
    if setup.hailort[0] >= 5 and not setup.integrated:
        log(
            "error",
            'The "run" command is not supported for this device type! Use "run2" instead.',
            source="HailoRT CLI",
        )
        return 6
    if options.measure_overall_latency and not options.measure_latency:
        msg = "--measure-overall-latency requires --measure-latency"
        raise UsageError(msg, REQUIRES)
    _refuse_power(options)
    transform = options.mode == "streaming"
    device, network = _load(options)
    kind = FormatType[options.user_format_type.upper()]
    with device:
        print(f"Running {options.mode} inference ({options.hef}):")
        print(f"  Transform data: {str(transform).lower()}")
        if transform:
            print(f"    Type:      {options.user_format_type}")
            print(f"    Quantized: {options.quantized}")
        found = Runner(network, kind).measure(
            seconds=options.time_to_run, frames=options.frames_count
        )
    networks = network.hef.get_networks_names()
    if not options.dont_show_progress:
        total = f"/{options.frames_count}" if options.frames_count else ""
        rate = "" if options.measure_latency else f" | FPS: {found.fps:.2f}"
        print(f"Network {networks[0]}: 100% | {found.frames}{total}{rate} | ETA: 00:00:00")
    _print_result(network.name, found, options)
    if options.csv is not None:
        _write_csv(options.csv, network.name, found, options)
    return 0


def _print_result(name: str, found: Measurement, options: argparse.Namespace) -> None:
    print("> Inference result:")
    print(f" Network group: {name}")
    print(f"    Frames count: {found.frames}")
    if not options.measure_latency:
        print(f"    FPS: {found.fps:.2f}")
        print(f"    Send Rate: {found.send_mbit:.2f} Mbit/s")
        print(f"    Recv Rate: {found.recv_mbit:.2f} Mbit/s")
    else:
        print(f"    HW Latency: {found.hw_latency_ms:.2f} ms")
        if options.measure_overall_latency:
            print(f"    Overall Latency: {found.overall_latency_ms:.2f} ms")
    print()
    if options.measure_temp:
        print(f"  Device: {DEVICE_ID}")
        for word in ("Minimum", "Average", "Maximum"):
            print(f"    {word} chip temperature: {TEMPERATURE_C:.2f}C")


def _write_csv(path: Path, name: str, found: Measurement, options: argparse.Namespace) -> None:
    print(f"> Writing inference results to '{path}'... ", end="")
    latency = options.measure_latency
    cells = [
        name,
        "0",
        "HAILO_SUCCESS",
        "" if latency else f"{found.fps:.6g}",
        str(found.frames),
        "" if latency else f"{found.send_mbit:.6g}",
        "" if latency else f"{found.recv_mbit:.6g}",
        f"{found.hw_latency_ms:.6g}" if latency else "",
        f"{found.overall_latency_ms:.6g}" if options.measure_overall_latency else "",
        *[""] * 6,
        *([f"{TEMPERATURE_C:g}"] * 3 if options.measure_temp else [""] * 3),
    ]
    path.write_text(f"{CSV_HEADER}\n{','.join(cells)}\n", encoding="utf-8")
    print("done.")


def run2(setup: Setup, options: argparse.Namespace) -> int:
    """``run2``: one model; with latency flags frames go one at a time and no rate is given."""
    if options.hef is None:
        log("error", "CHECK failed - Nothing to run", source="HailoRT CLI")
        raise exception_from_status(6)
    _refuse_power(options)
    latency = options.measure_latency or options.measure_overall_latency
    if latency:
        log(
            "warning",
            "Measuring latency; frames are sent one at a time and FPS will not be measured",
            source="HailoRT CLI",
        )
    device, network = _load(options)
    with device:
        found = Runner(network).measure(seconds=options.time_to_run, frames=None)
    line: list[str] = []
    entry: dict[str, object] = {"name": network.name, "full_hef_path": str(options.hef)}
    if not latency:
        line.append(f"fps: {found.fps:.2f}")
        entry["FPS"] = f"{found.fps:.6f}"
    if options.measure_latency:
        line.append(f"hw latency: {found.hw_latency_ms:.2f} ms")
        entry["hw_latency"] = found.hw_latency_ms
    if options.measure_overall_latency:
        line.append(f"overall latency: {found.overall_latency_ms:.2f} ms")
        entry["overall_latency"] = found.overall_latency_ms
    print(f"{network.name}: {' | '.join(line)}")
    devices: list[dict[str, object]] = []
    if options.measure_temp:
        print(f"\nMeasurements for device {DEVICE_ID}")
        for word in ("Minimum", "Average", "Maximum"):
            print(f"\t{word} chip temperature: {TEMPERATURE_C:.2f} C")
        value = f"{TEMPERATURE_C:.6f} C"
        temperature = {"min": value, "max": value, "average": value}
        devices.append({"device_id": DEVICE_ID, "temperature": temperature})
    if options.json is not None:
        mode = options.mode or ("full_async" if setup.hailort >= (5, 2, 0) else "full_sync")
        stamp = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S")
        document: dict[str, object] = {"time": stamp, "inference_mode": mode}
        document["network_groups"] = [entry]
        if devices:
            document["devices"] = devices
        options.json.write_text(json.dumps(document, indent=4), encoding="utf-8")
    return 0


def benchmark(setup: Setup, options: argparse.Namespace) -> int:
    """``benchmark``: three phases with a summary; from 5.1 on a short form of ``run2``."""
    device, network = _load(options)
    runner = Runner(network)
    seconds = float(options.time_to_run)
    if setup.hailort >= (5, 1, 0):
        import sys

        with device:
            found = runner.measure(seconds=seconds, frames=None)
        for word in ("power", "current"):
            sys.stderr.write(f"Measurement {word} is not supported\n")
        print("\n=======\nSummary\n=======")
        print(f"{network.name}: FPS: {found.fps:.2f}")
        print(f"{DEVICE_ID}:")
        value = f"{TEMPERATURE_C:.2f}"
        print(f"  temperature: mean={value} min={value} max={value}")
        return 0
    with device:
        print("Starting Measurements...")
        print("Measuring FPS in HW-only mode")
        hw_only = runner.measure(seconds=seconds, frames=None)
        print("Measuring FPS (and Power on supported platforms) in streaming mode")
        streaming = Runner(network, FormatType.AUTO).measure(seconds=seconds, frames=None)
        print("Measuring HW Latency")
        latency = runner.measure(seconds=seconds, frames=None)
    print("\n=======\nSummary\n=======")
    print(f"FPS     (hw_only)                 = {hw_only.fps:.6g}")
    print(f"        (streaming)               = {streaming.fps:.6g}")
    print(f"Latency (hw)                      = {latency.hw_latency_ms:.6g} ms")
    if options.csv is not None:
        cells = [
            network.name,
            f"{streaming.fps:.6g}",
            f"{hw_only.fps:.6g}",
            str(streaming.frames),
            str(hw_only.frames),
            f"{latency.hw_latency_ms:.6g}",
            *[""] * 4,
        ]
        text = f"{BENCHMARK_CSV_HEADER}\n{','.join(cells)}\n"
        options.csv.write_text(text, encoding="utf-8")
    return 0
