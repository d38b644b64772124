"""Measure a HEF on this device: rate, latency, temperature, power, and what held it back.

hefsmith sends this file to the device, runs it there and removes it again. It needs
Python 3.9, numpy and hailo_platform (HailoRT's own Python package); ``hailortcli`` and
``vcgencmd`` are used where they are there.

stdin:  one JSON document, the request:
          hef             file of the HEF
          seconds         time for each measurement
          warmup          seconds before it
          batches         batch sizes for the rate measured from Python
          cli             whether hailortcli measures too (hardware-only and streaming rates)
          image           null, or [height, width]: frames of this size are resized by the
                          program first, so that "end to end" means a camera's frame
stdout: one JSON object a line: hello, phase, result, done; or failed.
exit:   0, or 1 when something failed (the last line says what).

Every number is what this machine did. With hefsmith's stand-in of HailoRT the events say
``"emulated": true``: then no chip was measured.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Optional

from hailo_chip import open_chip
from job_report import holders, run_job, tell

# --- The machine -------------------------------------------------------------------------------

HAILO_PCI_VENDOR = 0x1E60

#: Bits of ``vcgencmd get_throttled``: now, and (16 higher) since boot.
THROTTLED = {0: "under-voltage", 1: "clock capped", 2: "throttled", 3: "soft temperature limit"}


def ask(*argv: str, timeout: float = 20.0) -> Optional[str]:
    """Return the output of a command, ``None`` when it is not there or fails."""
    program = shutil.which(argv[0])
    if program is None:
        return None
    try:
        done = subprocess.run(
            (program, *argv[1:]), capture_output=True, text=True, errors="replace",
            timeout=timeout, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def board_temperature() -> Optional[float]:
    """Return the Pi's own temperature in degrees Celsius, or ``None``."""
    text = ask("vcgencmd", "measure_temp")
    found = re.search(r"temp=([\d.]+)", text or "")
    if found:
        return float(found.group(1))
    for path in sorted(Path("/sys/class/thermal").glob("thermal_zone*/temp")):
        try:
            return int(path.read_text(encoding="ascii")) / 1000
        except (OSError, ValueError):
            continue
    return None


def throttling() -> Optional[dict[str, list[str]]]:
    """Return what held the Pi back, now and since boot, or ``None`` when it cannot be asked."""
    text = ask("vcgencmd", "get_throttled")
    found = re.search(r"throttled=(0x[0-9a-fA-F]+)", text or "")
    if not found:
        return None
    bits = int(found.group(1), 16)
    now = [name for bit, name in THROTTLED.items() if bits >> bit & 1]
    before = [name for bit, name in THROTTLED.items() if bits >> (bit + 16) & 1]
    return {"now": now, "since_boot": before}


def pcie_link() -> Optional[dict[str, str]]:
    """Return speed and width of the chip's PCIe link, or ``None``."""
    for folder in Path("/sys/bus/pci/devices").glob("*"):
        try:
            if int((folder / "vendor").read_text(encoding="ascii"), 16) != HAILO_PCI_VENDOR:
                continue
            keys = ("current_link_speed", "current_link_width", "max_link_speed")
            return {key: (folder / key).read_text(encoding="ascii").strip() for key in keys}
        except (OSError, ValueError):
            continue
    return None


class Sensors:
    """The chip's temperature and power, where it has sensors for them."""

    def __init__(self, device_id: str) -> None:
        self.control: Any = None
        self.power_problem: Optional[str] = None
        try:
            import hailo_platform as hailo

            self.device = hailo.Device(device_id)
            self.control = self.device.control
        except Exception as error:
            self.power_problem = str(error)

    def temperature(self) -> Optional[float]:
        """Return degrees Celsius, or ``None``."""
        if self.control is None:
            return None
        try:
            return round(float(self.control.get_chip_temperature().ts0_temperature), 1)
        except Exception:
            return None

    def power(self) -> Optional[float]:
        """Return watts, or ``None`` (the modules sold for the Pi have no sensor)."""
        if self.control is None or self.power_problem:
            return None
        try:
            return round(float(self.control.power_measurement()), 3)
        except Exception as error:
            self.power_problem = str(error)
            return None


# --- Measuring ---------------------------------------------------------------------------------


class Model:
    """A HEF, loaded by InferModel or, where that is missing, by InferVStreams."""

    def __init__(self, device: Any, path: str, batch: int, api: str = "auto") -> None:
        import hailo_platform as hailo
        import numpy as np

        self.batch = batch
        noise = np.random.RandomState(0)
        hef = hailo.HEF(path)
        #: Input -> frames of this program's own: HailoRT takes writable memory only.
        self.frames: dict[str, Any] = {}
        self.configured: Any = None
        self.bindings: list[Any] = []
        self.run: Callable[[], object]
        self.close: Callable[[], object]
        for info in hef.get_input_vstream_infos():
            kind = str(info.format.type).rpartition(".")[2].lower()
            shape = (batch, *info.shape)
            self.frames[info.name] = noise.randint(0, 256, shape).astype(kind)
        newer = hasattr(device, "create_infer_model") and api != "vstreams"
        self.api = "infer_model" if newer else "vstreams"
        if newer:
            self._open_newer(device, hef, path)
        else:
            self._open_older(device, hef)

    def _open_newer(self, device: Any, hef: Any, path: str) -> None:
        import hailo_platform as hailo
        import numpy as np

        model = device.create_infer_model(path)
        model.set_batch_size(self.batch)
        types = {}
        for info in hef.get_output_vstream_infos():
            order = str(info.format.order).rpartition(".")[2]
            kind = str(info.format.type).rpartition(".")[2].upper()
            model.output(info.name).set_format_type(getattr(hailo.FormatType, kind))
            # Boxes by score and masks lie in bytes, whatever type was asked for.
            packed = order in ("HAILO_NMS_BY_SCORE", "HAILO_NMS_WITH_BYTE_MASK")
            types[info.name] = "uint8" if packed else kind.lower()
        self.configured = model.configure()
        self.configured.__enter__()
        self.bindings = []
        for index in range(self.batch):
            binding = self.configured.create_bindings()
            for name, frames in self.frames.items():
                binding.input(name).set_buffer(frames[index])
            for name, kind in types.items():
                shape = tuple(model.output(name).shape)
                binding.output(name).set_buffer(np.zeros(shape, kind))
            self.bindings.append(binding)
        self.run = lambda: self.configured.run(self.bindings, 10000)
        self.close = lambda: self.configured.__exit__(None, None, None)

    def start(self) -> Any:
        """Send a batch without waiting for it (newer interface only)."""
        self.configured.wait_for_async_ready(timeout_ms=10000, frames_count=self.batch)
        return self.configured.run_async(self.bindings)

    def _open_older(self, device: Any, hef: Any) -> None:
        import hailo_platform as hailo

        params = hailo.ConfigureParams.create_from_hef(
            hef, interface=hailo.HailoStreamInterface.PCIe
        )
        group = device.configure(hef, params)[0]
        ins = hailo.InputVStreamParams.make(group, format_type=hailo.FormatType.AUTO)
        outs = hailo.OutputVStreamParams.make(group, format_type=hailo.FormatType.AUTO)
        pipeline = hailo.InferVStreams(group, ins, outs)
        pipeline.__enter__()
        activation = group.activate(group.create_params())
        activation.__enter__()
        self.run = lambda: pipeline.infer(dict(self.frames))

        def close() -> None:
            activation.__exit__(None, None, None)
            pipeline.__exit__(None, None, None)

        self.close = close


def percentile(values: list[float], share: float) -> float:
    """Return the value below which ``share`` of the sorted values lie."""
    return values[min(len(values) - 1, int(share * len(values)))]


def measure_latency(model: Model, seconds: float, warmup: float) -> dict[str, float]:
    """One batch at a time: milliseconds from sending to having the result."""
    spend(model.run, warmup)
    times: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or not times:
        before = time.perf_counter()
        model.run()
        times.append((time.perf_counter() - before) * 1000)
    times.sort()
    return {
        "runs": len(times),
        "mean_ms": round(sum(times) / len(times), 4),
        "p50_ms": round(percentile(times, 0.50), 4),
        "p95_ms": round(percentile(times, 0.95), 4),
        "p99_ms": round(percentile(times, 0.99), 4),
        "max_ms": round(times[-1], 4),
    }


def measure_rate(model: Model, seconds: float, warmup: float) -> dict[str, float]:
    """Keep the chip busy (several batches on their way where the interface can): frames/s."""
    spend(model.run, warmup)
    frames = 0
    start = time.perf_counter()
    if model.api == "infer_model":
        waiting = []
        while time.perf_counter() - start < seconds or not frames:
            waiting.append(model.start())
            if len(waiting) * model.batch >= 4:
                waiting.pop(0).wait(10000)
                frames += model.batch
        for job in waiting:
            job.wait(10000)
            frames += model.batch
    else:
        while time.perf_counter() - start < seconds or not frames:
            model.run()
            frames += model.batch
    elapsed = time.perf_counter() - start
    return {"frames": frames, "seconds": round(elapsed, 3), "fps": round(frames / elapsed, 3)}


def measure_end_to_end(
    model: Model, seconds: float, warmup: float, image: list[int]
) -> dict[str, float]:
    """Rate of a plain loop: make the input from a camera-sized picture, run, read the result."""
    import numpy as np

    height, width = image
    camera = np.random.RandomState(1).randint(0, 256, (height, width, 3)).astype(np.uint8)
    name, frames = next(iter(model.frames.items()))
    shape = frames.shape[1:]

    def once() -> None:
        if len(shape) == 3:
            rows = np.arange(shape[0]) * height // shape[0]
            columns = np.arange(shape[1]) * width // shape[1]
            small = camera[rows][:, columns]
            if shape[2] == 1:
                small = small.mean(axis=2, keepdims=True)
            if small.shape == shape:
                np.copyto(model.frames[name][0], small.astype(frames.dtype))
        model.run()

    spend(once, warmup)
    count = 0
    start = time.perf_counter()
    while time.perf_counter() - start < seconds or not count:
        once()
        count += 1
    elapsed = time.perf_counter() - start
    return {"frames": count * model.batch, "fps": round(count * model.batch / elapsed, 3)}


def spend(work: Callable[[], object], seconds: float) -> None:
    """Do ``work`` again and again for so long, at least once."""
    end = time.perf_counter() + seconds
    work()
    while time.perf_counter() < end:
        work()


def major_of(binding: str) -> int:
    """Return the line of HailoRT: of the binding, of hailortcli where that one says unknown."""
    for text in (binding, ask("hailortcli", "--version") or ""):
        number = re.search(r"(\d+)\.\d+", text)
        if number:
            return int(number.group(1))
    return 4


def measure_with_cli(path: str, seconds: float, major: int) -> Optional[dict[str, float]]:
    """Ask hailortcli for its rates: it has no Python in the way. ``None`` where it cannot."""
    whole = str(max(1, round(seconds)))
    found: dict[str, float] = {}
    if shutil.which("hailortcli") is None:
        return None
    if major >= 5:
        out = ask(
            "hailortcli",
            "run2",
            "-t",
            whole,
            "-j",
            "run2.json",
            "set-net",
            path,
            timeout=seconds * 4 + 60,
        )
        if out is None:
            return None
        groups = json.loads(Path("run2.json").read_text(encoding="utf-8"))["network_groups"]
        found["streaming_fps"] = float(groups[0]["FPS"])
        return found
    for mode, key in (("hw_only", "hw_only_fps"), ("streaming", "streaming_fps")):
        out = ask(
            "hailortcli",
            "run",
            path,
            "-t",
            whole,
            "-m",
            mode,
            "--dont-show-progress",
            timeout=seconds * 4 + 60,
        )
        number = re.search(r"FPS:\s*([\d.]+)", out or "")
        if number:
            found[key] = float(number.group(1))
    out = ask(
        "hailortcli",
        "run",
        path,
        "-t",
        whole,
        "--measure-latency",
        "--dont-show-progress",
        timeout=seconds * 4 + 60,
    )
    number = re.search(r"HW Latency:\s*([\d.]+)", out or "")
    if number:
        found["hw_latency_ms"] = float(number.group(1))
    return found or None


# --- The job -----------------------------------------------------------------------------------


def tell_sensors(sensors: Sensors, when: str) -> None:
    """Print what the chip's sensors say."""
    tell(
        "sensors",
        when=when,
        chip_c=sensors.temperature(),
        watts=sensors.power(),
        power_problem=sensors.power_problem,
    )


def measure(
    request: dict[str, Any],
    model: Model,
    batch: int,
    sensors: Sensors,
    seconds: float,
    warmup: float,
) -> None:
    """Measure one batch size; the first one also for latency and end to end."""
    tell("phase", name="batch %d" % batch)
    if batch == 1:
        tell("result", name="latency", api=model.api, **measure_latency(model, seconds, warmup))
    tell(
        "result",
        name="rate",
        batch=batch,
        api=model.api,
        **measure_rate(model, seconds, warmup),
        watts=sensors.power(),
    )
    if batch == 1 and request.get("image"):
        tell(
            "result",
            name="end_to_end",
            image=request["image"],
            **measure_end_to_end(model, seconds, warmup, request["image"]),
        )


def work(request: dict[str, Any]) -> None:
    """Measure everything, one thing after the other."""
    import hailo_platform as hailo
    import numpy as np

    version = str(getattr(hailo, "__version__", "0"))
    tell(
        "hello",
        hailort=version,
        emulated=bool(getattr(hailo, "__emulated__", False)),
        python=platform.python_version(),
        numpy=np.__version__,
        machine=platform.machine(),
        processors=os.cpu_count(),
    )
    shared = bool(os.environ.get("HEFSMITH_SHARED_GROUP"))
    others = [] if shared else holders()
    if others:
        # A rate measured beside another user of the chip is worth nothing.
        tell(
            "failed",
            kind="busy",
            holders=others,
            status=None,
            message="another process holds the chip",
            **{"class": "Busy"},
        )
        sys.exit(1)
    path, seconds = request["hef"], float(request.get("seconds", 5))
    warmup = float(request.get("warmup", 1))
    tell("machine", pcie=pcie_link(), throttling=throttling(), board_c=board_temperature())
    # hailortcli wants the chip for itself.
    if request.get("cli", True) and not shared:
        tell("phase", name="hailortcli")
        rates = measure_with_cli(path, seconds, major_of(version))
        if rates:
            tell("result", name="cli", **rates)
    api = request.get("api", "auto")
    with open_chip(hailo) as device:
        sensors = None
        for batch in request.get("batches", [1]):
            model = Model(device, path, int(batch), api)
            if sensors is None:  # a HEF that does not load fails before the sensors are asked
                sensors = Sensors(device.get_physical_devices_ids()[0])
                tell_sensors(sensors, "before")
            try:
                measure(request, model, int(batch), sensors, seconds, warmup)
            finally:
                model.close()
        if sensors is not None:
            tell_sensors(sensors, "after")
    tell("machine", pcie=pcie_link(), throttling=throttling(), board_c=board_temperature())


if __name__ == "__main__":
    sys.exit(run_job(work))
