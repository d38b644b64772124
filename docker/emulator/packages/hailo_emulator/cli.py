"""The ``hailo`` command: parser, optimize, compiler, har, analyze-noise (facts: hailo.md 3)."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hailo_emulator import log
from hailo_emulator.line import toolchain_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hailo_sdk_client import ClientRunner

ABSENT = (
    "params-csv", "profiler", "tb", "visualizer", "tutorial", "join", "har-onnx-rt",
    "runtime-profiler", "dfc-studio",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status (0, 1, or argparse's 2)."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments == ["--version"]:
        print(f"HailoRT v{_hailort_version()}")
        print(f"Hailo Dataflow Compiler v{toolchain_version()} (emulated)")
        return 0
    parser = _make_parser()
    options = parser.parse_args(arguments)
    if options.command in (None, "help"):
        parser.print_help()
        return 0
    if options.command in ABSENT:
        log.error(f"hailo {options.command} is not emulated")
        return 1
    _print_banner(arguments)
    try:
        _COMMANDS[options.command](options)
    except Exception as failure:  # as the vendor's command: one line and status 1
        log.error(f"{type(failure).__name__}: {failure}")
        if os.environ.get("HEFSMITH_EMULATED_TRACEBACK") == "1":
            raise
        return 1
    return 0


def _hailort_version() -> str:
    major, minor, patch = (int(part) for part in toolchain_version().split("."))
    # facts: hailo.md 1.2, compiler 3.(N) goes with HailoRT 4.(N-10), 5.x.y with 5.x.y.
    return f"4.{minor - 10}.0" if major == 3 else f"{major}.{minor}.{patch}"


def _print_banner(arguments: Sequence[str]) -> None:
    now = dt.datetime.now().astimezone().strftime("%H:%M:%S, %m/%d/%y")
    memory = 0
    if sys.platform != "win32":
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // (1 << 30)
    log.info(f"Current Time: {now}")
    log.info(
        f"CPU: Architecture: {platform.machine()}, Model: {platform.processor() or 'unknown'}, "
        f"Number Of Cores: {os.cpu_count()}"
    )
    log.info(f"Memory: Total: {memory}GB")
    log.info(f"System info: OS: {platform.system()}, Kernel: {platform.release()}")
    log.info(f"Hailo DFC Version: {toolchain_version()} (emulated)")
    log.info(f"HailoRT Version: {_hailort_version()} (emulated)")
    log.info("PCIe: No Hailo PCIe device was found")
    log.info(f"Running `hailo {' '.join(arguments)}`")


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hailo", description="Emulated stand-in for Hailo's command line"
    )
    commands = parser.add_subparsers(dest="command", metavar="command")
    _add_parser(commands)
    optimize = commands.add_parser("optimize", help="quantise a HAR")
    optimize.add_argument("har_path", type=Path)
    optimize.add_argument("--hw-arch")
    source = optimize.add_mutually_exclusive_group(required=True)
    source.add_argument("--calib-set-path", type=Path, help="(N, H, W, C) .npy, or a folder")
    source.add_argument("--use-random-calib-set", action="store_true")
    optimize.add_argument("--model-script", type=Path)
    optimize.add_argument("--output-har-path", type=Path)
    compiler = commands.add_parser("compiler", help="compile an optimised HAR")
    compiler.add_argument("har_path", type=Path)
    compiler.add_argument("--hw-arch")
    compiler.add_argument("--output-dir", type=Path, default=Path())
    compiler.add_argument("--output-har-path", type=Path)
    compiler.add_argument("--model-script", type=Path)
    compiler.add_argument("--auto-model-script", type=Path)
    har = commands.add_parser("har", help="look into a HAR")
    har.add_argument("action", choices=("info", "extract"))
    har.add_argument("har_path", type=Path)
    har.add_argument("--auto-model-script-path", type=Path)
    noise = commands.add_parser("analyze-noise", help="signal-to-noise ratio of every layer")
    noise.add_argument("har_path", type=Path)
    noise.add_argument("--data-path", type=Path, required=True)
    noise.add_argument("--batch-size", type=int, default=1)
    noise.add_argument("--data-count", type=int, default=8)
    noise.add_argument("--analyze-mode", choices=("simple", "advanced"), default="simple")
    for name in (*ABSENT, "help"):
        commands.add_parser(name, help="not emulated" if name != "help" else "this text")
    return parser


def _add_parser(commands: Any) -> None:
    parse = commands.add_parser("parser", help="translate an ONNX or TFLite model to a HAR")
    parse.add_argument("framework", choices=("onnx", "tf"))
    parse.add_argument("model_path", type=Path)
    parse.add_argument("--hw-arch")
    parse.add_argument("--net-name")
    parse.add_argument("--har-path", type=Path)
    parse.add_argument("--start-node-names", nargs="+")
    parse.add_argument("--end-node-names", nargs="+")
    parse.add_argument("--tensor-shapes", nargs="+")
    parse.add_argument("--disable-onnx-simplifier", action="store_true")
    parse.add_argument("--disable-rt-metadata-extraction", action="store_true")
    parse.add_argument("-y", action="store_true", help="take the recommended end nodes")


def _parse(options: argparse.Namespace) -> None:
    from hailo_sdk_client import ClientRunner
    from hailo_sdk_client.model_translator.exceptions import ParsingWithRecommendationException

    name = options.net_name or options.model_path.stem
    runner = ClientRunner(hw_arch=options.hw_arch)

    def translate(ends: Sequence[str] | None) -> None:
        if options.framework == "tf":
            runner.translate_tf_model(
                options.model_path,
                name,
                start_node_names=options.start_node_names,
                end_node_names=ends,
                tensor_shapes=_tensor_shapes(options.tensor_shapes),
            )
            return
        runner.translate_onnx_model(
            options.model_path,
            name,
            start_node_names=options.start_node_names,
            end_node_names=ends,
            net_input_shapes=_tensor_shapes(options.tensor_shapes),
        )

    try:
        translate(options.end_node_names)
    except ParsingWithRecommendationException as refused:
        marker = "using these end node names: "
        if marker not in str(refused):
            raise
        log.error(str(refused))
        question = "Parse the model again, with the recommended end nodes? [Y/n] "
        if not options.y and input(question).strip().lower() not in ("", "y", "yes"):
            raise
        translate([node.strip() for node in str(refused).split(marker)[1].split(",")])
    runner.save_har(options.har_path or Path(f"{name}.har"))


def _tensor_shapes(values: Sequence[str] | None) -> Any:
    """``[1,3,640,640]`` or ``images=[1,3,640,640]``, one per input."""
    if not values:
        return None
    named: dict[str, list[int]] = {}
    for value in values:
        name, _, shape = value.rpartition("=")
        named[name] = [int(n) for n in shape.strip("[]").split(",")]
    return named.get("", named)


def _open(options: argparse.Namespace) -> ClientRunner:
    from hailo_sdk_client import ClientRunner

    return ClientRunner(hw_arch=getattr(options, "hw_arch", None), har=options.har_path)


def _optimize(options: argparse.Namespace) -> None:
    runner = _open(options)
    if options.model_script:
        runner.load_model_script(options.model_script)
    if options.use_random_calib_set:
        import numpy as np

        rng = np.random.default_rng(0)
        data: Any = {
            layer.name: rng.integers(0, 256, (64, *layer.output_shapes[0][1:])).astype(np.float32)
            for layer in runner.get_hn_model().get_input_layers()
        }
    else:
        data = options.calib_set_path
    runner.optimize(data)
    runner.save_har(options.output_har_path or Path(f"{runner.model_name}_optimized.har"))


def _compile(options: argparse.Namespace) -> None:
    runner = _open(options)
    if options.model_script:
        runner.load_model_script(options.model_script, append=True)
    hef = runner.compile()
    options.output_dir.mkdir(parents=True, exist_ok=True)
    path = options.output_dir / f"{runner.model_name}.hef"
    path.write_bytes(hef)
    log.info(f"Saved HEF to: {path.absolute()} (emulated)")
    har = options.output_har_path or options.output_dir / f"{runner.model_name}_compiled.har"
    runner.save_har(har)
    if options.auto_model_script:
        options.auto_model_script.write_text(runner.model_script, "utf-8")


def _har(options: argparse.Namespace) -> None:
    from hailo_emulator.har import read_har

    members = read_har(options.har_path)
    stem = next(name[: -len(".hn")] for name in members if name.endswith(".hn"))
    if options.action == "extract":
        if options.auto_model_script_path:
            options.auto_model_script_path.write_bytes(
                members.get(f"{stem}.auto.alls", members[f"{stem}.alls"])
            )
            return
        for name, content in members.items():
            Path(Path(name).name).write_bytes(content)
        return
    metadata = json.loads(members[f"{stem}.metadata.json"])
    nms = json.loads(members.get(f"{stem}.nms.json", b"{}") or b"{}")
    print(f"Model name: {metadata['model_name']}")
    print(f"State: {_STATES.get(metadata['state'], metadata['state'])}")
    print(f"SDK version: {metadata['sdk_version']} (emulated)")
    print(f"HW arch: {metadata['hw_arch']}")
    if nms:
        print(f"NMS meta arch: {nms['meta_arch']}, device: {nms['engine']}")
    print("Files:")
    for name in members:
        print(f"  {name}")


_STATES = {
    "hailo_model": "Hailo Model", "fp_optimized_model": "FP Optimized Model",
    "quantized_model": "Quantized Model", "compiled_model": "Compiled Model",
}  # fmt: skip


def _analyze_noise(options: argparse.Namespace) -> None:
    runner = _open(options)
    noise = runner.analyze_noise(
        options.data_path, options.data_count, options.batch_size, options.analyze_mode
    )
    for name, decibels in noise.items():
        print(f"{name} SNR: {decibels:.4g} dB")


_COMMANDS = {
    "parser": _parse, "optimize": _optimize, "compiler": _compile, "har": _har,
    "analyze-noise": _analyze_noise,
}  # fmt: skip
