"""Measure what much of everything costs in seconds and memory: ``python -m tests.bench.load``.

Each row is a program of its own, whose memory, with that of all that it starts, is read from the
system while it runs.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests import figures

REPOSITORY = Path(__file__).resolve().parents[3]

#: What is measured, by name: how many.
AMOUNTS = {
    "pictures": 3000, "models": 100, "lines": 1_000_000, "megabytes": 2100, "builds": 200,
    "devices": 30,
}  # fmt: skip


def _hef(root: Path, *words: str) -> tuple[float, int, subprocess.CompletedProcess[str]]:
    """Run a command; return its seconds, its peak in MiB with all that it starts, and its end."""
    root.mkdir(parents=True, exist_ok=True)
    places = {f"HEFSMITH_{name.upper()}": str(root / name) for name in ("cache", "data")}
    environ = {**os.environ, **places, "HOME": str(root / "home"), "HEFSMITH_ENGINE": "local"}
    began = time.monotonic()
    with (root / "out").open("w+") as out, (root / "err").open("w+") as err:
        started = subprocess.Popen(
            [sys.executable, "-m", "orchestrator", *words],
            stdout=out, stderr=err, text=True, cwd=root, env=environ,
        )  # fmt: skip
        peak = 0
        while started.poll() is None:
            peak = max(peak, sum(_resident(pid) for pid in _with_children(started.pid)))
            time.sleep(0.05)
        seconds = time.monotonic() - began
    said = ((root / one).read_text(errors="replace") for one in ("out", "err"))
    return seconds, peak // 1024, subprocess.CompletedProcess(words, started.returncode, *said)


def _with_children(pid: int) -> list[int]:
    found = [pid]
    for one in found:
        try:
            tasks = Path(f"/proc/{one}/task/{one}/children").read_text().split()
        except OSError:
            continue
        found += map(int, tasks)
    return found


def _resident(pid: int) -> int:
    """Return the memory of a process in KiB."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return int(status.partition("VmRSS:")[2].split()[0]) if "VmRSS:" in status else 0


def pictures(folder: Path) -> tuple[str, str]:
    """Build from many pictures of many kinds."""
    from PIL import Image

    count = AMOUNTS["pictures"]
    random = np.random.default_rng(0)
    there = folder / "photos"
    there.mkdir()
    modes, endings = ("RGB", "L", "RGBA", "P"), ("jpg", "png", "webp", "bmp")
    for number in range(count):
        side = 64 + int(random.integers(0, 640))
        tile = random.integers(0, 255, (8, 8, 3), dtype=np.uint8)
        picture = Image.fromarray(tile).resize((side, 48 + side // 2))
        ending = endings[number % 4]
        mode = "RGB" if ending == "jpg" else modes[number // 4 % 4]
        picture.convert(mode).save(there / f"{number}.{ending}")
    _network(folder / "net.onnx", 1 << 10)
    _, _, done = _hef(folder, "init", "net", "--onnx", "net.onnx", "--calib", "photos", "--yes")
    assert done.returncode == 0, done.stderr
    recipe = folder / "models/net/model.yaml"
    text, changed = re.subn(r"count: \d+", f"count: {count}", recipe.read_text())
    assert changed == 1
    recipe.write_text(text)
    seconds, peak, done = _hef(folder, "build", "net")
    assert done.returncode == 0, done.stderr
    return f"a build from {count} pictures of 4 kinds", f"{seconds:.0f} s, {peak} MiB at most"


def models(folder: Path) -> tuple[str, str]:
    """Look at a project of many models."""
    from tests.unit.matrix import trivial

    count = AMOUNTS["models"]
    for number in range(count):
        trivial.make_model(folder, f"net{number}")
    listed, peak, done = _hef(folder)
    assert done.returncode == 0, done.stderr
    told, more, done = _hef(folder, "report", "--all", "--format", "md")
    return (
        f"`hef` and `hef report --all` in a project of {count} models",
        f"{listed:.1f} s and {told:.1f} s, {max(peak, more)} MiB at most",
    )


def lines(folder: Path) -> tuple[str, str]:
    """Explain a log of a million lines with its cause near the end."""
    count = AMOUNTS["lines"]
    log = folder / "build.log"
    with log.open("w") as file:
        for number in range(count):
            file.write(
                f"[info] layer conv{number % 971}: {number * 7919 % 100003} of 100003 done\n"
            )
        file.write("UnsupportedOperationError: Einsum operation is unsupported\n")
    seconds, peak, done = _hef(folder, "explain", "build.log")
    assert "Einsum" in done.stdout, done.stdout
    return f"`hef explain` of {count:,} lines", f"{seconds:.0f} s, {peak} MiB at most"


def gigabytes(folder: Path) -> tuple[str, str]:
    """Inspect and lint an ONNX file whose weights, beside it, have 2.1 GB."""
    size = AMOUNTS["megabytes"]
    _network(folder / "large.onnx", size << 18)
    assert (folder / "large.onnx.data").stat().st_size > 2 << 30
    seconds, peak, done = _hef(folder, "inspect", "large.onnx")
    assert done.returncode == 0, done.stderr
    return f"`hef inspect` of an ONNX file of {size} MB", f"{seconds:.1f} s, {peak} MiB at most"


def builds(folder: Path) -> tuple[str, str]:
    """Build again and again in one process."""
    from tests.chaos.test_load import LOOP

    count = AMOUNTS["builds"]
    places = os.pathsep.join([*filter(None, sys.path[1:]), str(REPOSITORY)])
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-P", "-c", LOOP, str(folder / "project")],
        capture_output=True, text=True, cwd=REPOSITORY, check=True,
        env={**os.environ, "PYTHONPATH": places},
    )  # fmt: skip
    early, late = ([int(word) for word in line.split()] for line in done.stdout.splitlines())
    memory = f"{early[0] >> 20} and {late[0] >> 20} MiB"
    held = f"{early[1]} and {late[1]} open files, {early[2]} and {late[2]} threads"
    seconds = time.monotonic() - began
    return f"{count} builds in one process, at the 50th and the last", (
        f"{seconds:.0f} s; {memory}, {held}"
    )


def fleet(folder: Path) -> tuple[str, str]:
    """Ship 20 MB to few devices, and to as many and more than are connected at a time."""
    from orchestrator.device.fleet import CONNECTIONS
    from tests.bench.device.sshd import start_sshds
    from tests.bench.device.test_ship_bench import PROGRAM
    from tests.unit.device.making import make_hef

    counts = (2, CONNECTIONS, AMOUNTS["devices"], 2 * AMOUNTS["devices"])
    hef = make_hef(folder / "m.hef", size=20_000_000)
    peaks = []
    for count in counts:
        devices = start_sshds(folder / f"sshd{count}", count)
        try:
            ports = [str(one.port) for one in devices]
            words = [sys.executable, "-P", "-c", PROGRAM, str(devices[0].key), str(hef), *ports]
            done = subprocess.run(words, capture_output=True, text=True, check=True)
            peaks.append(done.stdout.strip())
        finally:
            for one in devices:
                one.stop()
    what = f"20 MB to {', '.join(map(str, counts))} devices ({CONNECTIONS} at a time)"
    return what, f"{', '.join(peaks)} MiB at most"


def _network(path: Path, numbers: int) -> None:
    """Write a convolution and a layer of so many weights."""
    import onnx
    from onnx import TensorProto, helper

    def raw(name: str, *sides: int) -> onnx.TensorProto:
        values = np.zeros(sides, np.float32)
        values.reshape(-1)[:: max(1, values.size // 997)] = 0.01
        return helper.make_tensor(name, TensorProto.FLOAT, sides, values.tobytes(), raw=True)

    # A tensor of more than 2 GiB is none that protobuf takes.
    halves, wide = ("first", "second"), max(1, numbers // 128)
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["c"], kernel_shape=[3, 3]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        *(helper.make_node("Gemm", ["f", name], [f"{name}.out"]) for name in halves),
        helper.make_node("Concat", [f"{name}.out" for name in halves], ["out"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "large",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 64, 64])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 2 * wide])],
        [raw("w", 64, 3, 3, 3), *(raw(name, 64, wide) for name in halves)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(
        model, path, save_as_external_data=True, location=f"{path.name}.data", size_threshold=1024
    )


ROWS: dict[str, Callable[[Path], tuple[str, str]]] = {
    "pictures": pictures, "models": models, "lines": lines, "gigabytes": gigabytes,
    "builds": builds, "fleet": fleet,
}  # fmt: skip


def main() -> int:
    """Print the figures; write them into the page on request."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.load", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*ROWS, []], help="default: all")
    parser.add_argument("--write", action="store_true", help="into docs/load.md")
    asked = parser.parse_args()
    rows: dict[str, str] = {}
    for name in asked.names or ROWS:
        with tempfile.TemporaryDirectory(prefix="load-") as folder:
            what, figure = ROWS[name](Path(folder))
        rows[what] = figure
        print(f"{what}: {figure}", flush=True)
    if asked.write:
        # Rows of an earlier run that were not asked for stay.
        before = dict(re.findall(r"(?m)^\| (.+?) \| (.+?) \|$", figures.shown("load.md")))
        before.pop("what", None)
        figures.show("load.md", figures.table({**before, **rows}.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
