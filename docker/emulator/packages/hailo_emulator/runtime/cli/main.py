"""``hailortcli``: options, sub-commands and exit codes of HailoRT 4.20 to 4.24 and 5.0 to 5.2.

Results go to stdout as the vendor's tool prints them. The exit status is the library's status;
mistakes in the command line have the numbers of CLI11, the vendor's option parser.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hailo_emulator.runtime.cli.firmware_usage import add_commands
from hailo_emulator.runtime.cli.usage import (
    VALIDATION,
    Parser,
    UsageError,
    add_device_options,
    existing,
    positive,
)
from hailo_emulator.runtime.device import list_devices, status_text
from hailo_emulator.runtime.settings import EmulatorSettingError, read_setup
from hailo_emulator.runtime.status import HailoRTException, log

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from hailo_emulator.runtime.cli.usage import Commands
    from hailo_emulator.runtime.settings import Setup


def build_parser(setup: Setup) -> Parser:
    """Return the parser; sub-commands are those that the rest of hefsmith uses."""
    parser = Parser(prog="hailortcli", description="HailoRT CLI (emulated by hefsmith)")
    version = f"HailoRT-CLI version {setup.version}"
    parser.add_argument("-v", "--version", action="version", version=version)
    commands = parser.add_subparsers(dest="command", required=True, parser_class=Parser)

    scan = commands.add_parser("scan", help="Shows all available devices")
    scan.set_defaults(work=_scan)

    add_commands(setup, commands)

    parse = commands.add_parser("parse-hef", help="Parse HEF to get information about it")
    parse.add_argument("hef", type=existing)
    parse.add_argument("--parse-streams", action="store_true")
    parse.add_argument("--parse-vstreams", action="store_true", default=True)
    parse.set_defaults(work=_parse_hef)

    _add_run(commands)
    _add_run2(commands)

    bench = commands.add_parser("benchmark", help="Measure basic performance")
    add_device_options(bench)
    bench.add_argument("hef", type=existing)
    bench.add_argument("-t", "--time-to-run", type=positive, default=15)
    bench.add_argument("--batch-size", type=int, default=1)
    bench.add_argument("--power-mode", choices=("performance", "ultra_performance"))
    bench.add_argument("--input-files", nargs="*")
    bench.add_argument("--csv", type=Path)
    bench.set_defaults(work=_later("benchmark"))
    return parser


def _add_run(commands: Commands) -> None:
    run = commands.add_parser("run", help="Run a compiled network")
    add_device_options(run)
    run.add_argument("hef", type=existing)
    length = run.add_mutually_exclusive_group()
    length.add_argument("-c", "--frames-count", type=positive)
    length.add_argument("-t", "--time-to-run", type=positive)
    run.add_argument("--batch-size", type=int, default=0)
    run.add_argument("--net-batch-size", action="append")
    run.add_argument("--power-mode", choices=("performance", "ultra_performance"))
    run.add_argument("-m", "--mode", choices=("streaming", "hw_only"), default="streaming")
    run.add_argument("--csv", type=Path)
    run.add_argument("--input-files", nargs="*")
    run.add_argument("--measure-latency", action="store_true")
    run.add_argument("--measure-overall-latency", action="store_true")
    power = run.add_mutually_exclusive_group()
    power.add_argument("--measure-power", action="store_true")
    power.add_argument("--measure-current", action="store_true")
    run.add_argument("--measure-temp", action="store_true")
    run.add_argument("--dont-show-progress", action="store_true")
    run.add_argument("--quantized", choices=("true", "false"), default="true")
    formats = ("auto", "uint8", "uint16", "float32")
    run.add_argument("--user-format-type", choices=formats, default="auto")
    run.set_defaults(work=_later("run"))


def _add_run2(commands: Commands) -> None:
    run2 = commands.add_parser("run2", help="Run networks")
    add_device_options(run2)
    run2.add_argument("-t", "--time-to-run", type=positive, default=5)
    modes = ("full_sync", "full_async", "raw_sync", "raw_async")
    run2.add_argument("-m", "--mode", choices=modes)
    run2.add_argument("-j", "--json", type=Path)
    run2.add_argument("--measure-power", action="store_true")
    run2.add_argument("--measure-current", action="store_true")
    run2.add_argument("--measure-latency", "--measure-hw-latency", action="store_true")
    run2.add_argument("--measure-overall-latency", action="store_true")
    run2.add_argument("--measure-temp", action="store_true")
    run2.add_argument("--scheduling-algorithm", choices=("round_robin", "none"))
    run2.add_argument("--group-id")
    parts = run2.add_subparsers(dest="part", parser_class=Parser)
    net = parts.add_parser("set-net", help="Set network")
    net.add_argument("hef", type=existing)
    net.add_argument("--name")
    net.add_argument("--batch-size", type=int, default=0)
    net.add_argument("--framerate", type=positive)
    run2.set_defaults(work=_later("run2"), hef=None)


def _later(name: str) -> Callable[[Setup, argparse.Namespace], int]:
    def work(setup: Setup, options: argparse.Namespace) -> int:
        # ONNX Runtime is loaded only by commands that compute.
        from hailo_emulator.runtime.cli import measure

        commands: dict[str, Callable[[Setup, argparse.Namespace], int]] = {
            "run": measure.run,
            "run2": measure.run2,
            "benchmark": measure.benchmark,
        }
        return commands[name](setup, options)

    return work


def _scan(setup: Setup, options: argparse.Namespace) -> int:
    found = list_devices()
    if not found:
        print("Hailo devices not found")
        return 0
    print("Hailo Devices:")
    for device in found:
        print(f"[-] Device: {device}")
    return 0


def _parse_hef(setup: Setup, options: argparse.Namespace) -> int:
    from hailo_emulator.runtime.cli.parse_hef import print_hefs

    return print_hefs(setup, options.hef, streams=options.parse_streams)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit status."""
    try:
        setup = read_setup()
    except EmulatorSettingError as error:
        sys.stderr.write(f"emulator: {error}\n")
        return VALIDATION
    if setup.has("cli_mismatch"):
        sys.stderr.write(
            f"libhailort version ({setup.other_version}) does not match HailoRT-CLI version "
            f"({setup.version})\n"
        )
        return 255
    parser = build_parser(setup)
    try:
        options = parser.parse_args(argv)
        work: Callable[[Setup, argparse.Namespace], int] = options.work
        return work(setup, options) & 0xFF
    except UsageError as error:
        sys.stderr.write(f"{error}\nRun with --help for more information.\n")
        return error.code
    except HailoRTException as error:
        code, name = status_text(error)
        log("error", f"CHECK_SUCCESS failed with status={name}({code})", source="HailoRT CLI")
        return code & 0xFF
