"""Run golden samples through a HEF on a device and bring the outputs back.

The work on the device is done by ``jobs/infer.py``; this is its other end. What is compared
with what is not known here: outputs are files, in the order of the golden outputs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from orchestrator.device.address import device_argument
from orchestrator.device.base import is_done
from orchestrator.device.faults import DeviceBusy, DeviceLacks
from orchestrator.device.joblog import number_of, text_of, whole_of
from orchestrator.errors import DeviceError, escape_control

if TYPE_CHECKING:
    from orchestrator.device.base import DeviceSpec, Identity, JobResult, JobRunner

Api = Literal["auto", "infer_model", "vstreams"]
OutputFormat = Literal["float32", "native"]

#: Seconds for starting Python, loading the HEF and opening the chip.
START_SECONDS = 120.0

#: Failures that say nothing about the model: the device must be put right first.
_NOT_THE_MODEL = ("busy", "no-driver", "no-binding", "versions")

#: What HailoRT logs when numpy 2 meets a binding of pybind11 before 2.12.
_NO_BYTES = re.compile(r"buffer size 0 is different than expected|passed size - 0\b")


@dataclass(frozen=True, kw_only=True)
class GoldenInput:
    """One input: its stream in the HEF and its samples, .npy (N, H, W, C)."""

    stream: str
    file: Path


@dataclass(frozen=True, kw_only=True)
class GoldenOutput:
    """One output: its stream (``None``: by order) and where the device's answer shall be put."""

    stream: str | None
    kind: Literal["tensor", "nms"]
    file: Path


@dataclass(frozen=True, kw_only=True)
class DeviceRun:
    """What the device did. ``trouble`` is empty when every output came.

    ``trouble`` maps what went wrong (``wrong-chip``, ``hef``, ``timeout``, ``api``,
    ``runtime``, and ``unstable``, with which there are outputs all the same) to a sentence.
    """

    samples: int
    seconds: float
    api: str | None
    hailort: str | None
    emulated: bool
    machine: str | None
    repeats: int
    different: int
    trouble: Mapping[str, str] = field(default_factory=dict)
    errors: tuple[str, ...] = ()
    """What HailoRT logged as errors, in order; the first says most."""

    @property
    def complete(self) -> bool:
        """True when the outputs are there."""
        return not set(self.trouble) - {"unstable"}


def job_script(name: Literal["infer", "bench", "contact"]) -> Path:
    """Return the file that is sent to the device."""
    return Path(str(resources.files("orchestrator.device") / "jobs" / f"{name}.py"))


def beside_jobs() -> dict[str, Path]:
    """Return the files that each job finds beside itself on the device, by name."""
    folder = job_script("infer").parent
    return {
        one.name: one for one in (folder / "bundle" / "hailo_chip.py", folder / "job_report.py")
    }


def run_golden(
    runner: JobRunner,
    hef: Path,
    inputs: Sequence[GoldenInput],
    outputs: Sequence[GoldenOutput],
    *,
    api: Api = "auto",
    output_format: OutputFormat = "float32",
    repeats: int = 5,
    timeout: float = 1800.0,
    on_progress: Callable[[int, int], None] | None = None,
) -> DeviceRun:
    """Run all samples on the device and store its outputs in the files that ``outputs`` names.

    Sample 0 runs ``repeats`` more times: a chip that answers differently is reported as
    ``unstable``. Raises :class:`DeviceBusy` with the holder's name, :class:`DeviceLacks` when
    HailoRT or its driver is missing or of several versions, and what the session raises.
    """
    for output in outputs:
        output.file.parent.mkdir(parents=True, exist_ok=True)
    names_in = [f"input{index}.npy" for index in range(len(inputs))]
    suffixes = {"tensor": "npy", "nms": "npz"}
    names_out = [f"output{i}.{suffixes[output.kind]}" for i, output in enumerate(outputs)]
    request: dict[str, object] = {
        "hef": "model.hef",
        "inputs": [
            {"name": given.stream, "file": name}
            for given, name in zip(inputs, names_in, strict=True)
        ],
        "outputs": [
            {"stream": wanted.stream, "kind": wanted.kind, "file": name}
            for wanted, name in zip(outputs, names_out, strict=True)
        ],
        "api": api,
        "output_format": output_format,
        "repeats": repeats,
    }

    def hear(event: Mapping[str, object]) -> None:
        if on_progress is not None and event.get("event") == "progress":
            on_progress(whole_of(event.get("done")), whole_of(event.get("total")))

    result = runner.run_job(
        job_script("infer"),
        files={
            **beside_jobs(),
            "model.hef": hef,
            **{name: given.file for given, name in zip(inputs, names_in, strict=True)},
        },
        request=request,
        fetch={name: output.file for output, name in zip(outputs, names_out, strict=True)},
        timeout=timeout + START_SECONDS,
        on_event=hear,
    )
    return _read_run(runner, result)


def raise_if_not_the_model(runner: JobRunner, failure: Mapping[str, object], log: str) -> None:
    """Raise for a ``failed`` event that is the device's matter, not the model's."""
    kind = str(failure.get("kind"))
    spec: DeviceSpec | None = getattr(runner, "spec", None)
    name = escape_control(spec.name) if spec is not None else "the device"
    known = device_argument(spec) if spec is not None else "NAME"
    if _NO_BYTES.search(log):
        msg = f"{name}: HailoRT's Python binding sees arrays of 0 bytes; it was built for numpy 1"
        raise DeviceLacks(msg, hint="There: pip install 'numpy<2', or HailoRT's own package.")
    if kind not in _NOT_THE_MODEL:
        return
    message = text_of(failure.get("message")) or ""
    if kind == "busy":
        # HailoRT says the same (74) of a chip in use and of no chip at all.
        seen = None if failure.get("holders") else _ask(runner)
        if seen is not None and seen.chip is None:
            why = "; ".join(map(escape_control, seen.notes)) or message
            msg = f"{name}: no Hailo chip answers there: {why}"
            raise DeviceLacks(msg, hint=f"Find out why with: hef doctor --device {known}")
        by = holder_names(failure) or _holders_seen(seen) or "another process"
        msg = f"{name}: the chip is held by {by} ({message})"
        raise DeviceBusy(
            msg,
            hint="Stop that program, or name its systemd unit as service: of the device in "
            "hef.yaml; it is then stopped and started again around each run.",
        )
    first = first_error(log)
    if spec is not None and spec.about.own_python:
        _check_own_packages(name, f"{first or ''} {message}")
    msg = f"{name}: HailoRT does not work there: {first or message}"
    raise DeviceLacks(msg, hint=f"Ask for the whole picture: hef doctor --device {known}")


def _check_own_packages(name: str, told: str) -> None:
    """Raise where the device in this process lacks a package of an extra: it is this Python's."""
    from orchestrator.installation import EXTRA_OF, install_command

    lacking = re.search(r"No module named '(\w+)", told)
    extra = EXTRA_OF.get(lacking.group(1)) if lacking is not None else None
    if lacking is None or extra is None:
        return
    msg = (
        f"{name}: the embedded device runs the network with {lacking.group(1)}, which is "
        "not installed; the build is finished and kept"
    )
    hint = f"{install_command(extra)}\nor take your Pi: hef device add NAME USER@HOST"
    raise DeviceLacks(msg, hint=hint, code="device.extra")


def _ask(runner: JobRunner) -> Identity | None:
    """Return what the device says, with more rights than a job has; ``None`` when it cannot."""
    identify = getattr(runner, "identify", None)
    if identify is None:
        return None
    try:
        found: Identity = identify(level="full", refresh=True)
    except DeviceError:
        return None
    return found


def _holders_seen(identity: Identity | None) -> str:
    holders = identity.holders if identity is not None else None
    return ", ".join(f"{escape_control(one.command)} ({one.pid})" for one in holders or ())


def holder_names(failure: Mapping[str, object]) -> str:
    """Return ``name (pid), ...`` of the processes that a failed event tells of."""
    holders = failure.get("holders")
    if not isinstance(holders, list):
        return ""
    return ", ".join(
        f"{text_of(item.get('command'))} ({whole_of(item.get('pid'))})"
        for item in holders[:20]
        if isinstance(item, Mapping)
    )


def error_lines(log: str) -> tuple[str, ...]:
    """Return HailoRT's error lines."""
    found = (line.partition("[error] ")[2] for line in log.splitlines())
    return tuple(escape_control(text)[:1000] for text in found if text)


def first_error(log: str) -> str | None:
    """Return the first error line of HailoRT: failing checks repeat themselves up the stack."""
    lines = error_lines(log)
    return lines[0].removeprefix("CHECK failed - ") if lines else None


def failure_of(result: JobResult) -> Mapping[str, object] | None:
    """Return the event that says why a job failed, ``None`` when it did not.

    Raises :class:`~orchestrator.errors.DeviceError` for a job that died without a word.
    """
    for event in reversed(result.events):
        if event.get("event") == "failed":
            return event
    if not is_done(result.events):
        lines = result.log.strip().splitlines()
        last = escape_control(lines[-1])[:300] if lines else "it printed nothing"
        msg = f"the job on the device ended with status {result.code}: {last}"
        raise DeviceError(
            msg,
            hint="Python 3.9 or newer and numpy are needed there; see hef device identify.",
            code="device.job-died",
        )
    return None


def _read_run(runner: JobRunner, result: JobResult) -> DeviceRun:
    failure = failure_of(result)
    trouble: dict[str, str] = {}
    if failure is not None:
        raise_if_not_the_model(runner, failure, result.log)
        message = text_of(failure.get("message") or failure.get("class")) or ""
        first = first_error(result.log)
        trouble[text_of(failure.get("kind")) or "runtime"] = (
            f"{first} ({message})" if first else message
        )
    facts = {str(event.get("event")): event for event in result.events}
    hello, loaded = facts.get("hello", {}), facts.get("loaded", {})
    repeated = facts.get("determinism", {})
    runs, different = whole_of(repeated.get("runs")), whole_of(repeated.get("different"))
    if different:
        largest = number_of(repeated.get("largest_difference"))
        trouble["unstable"] = (
            f"{different} of {runs} repeated runs of the first sample gave other outputs "
            f"(largest difference {largest})"
        )
    return DeviceRun(
        samples=whole_of(loaded.get("samples")),
        seconds=result.seconds,
        api=text_of(loaded.get("api")),
        hailort=text_of(hello.get("hailort")),
        emulated=bool(hello.get("emulated")),
        machine=text_of(hello.get("machine")),
        repeats=runs,
        different=different,
        trouble=trouble,
        errors=error_lines(result.log),
    )
