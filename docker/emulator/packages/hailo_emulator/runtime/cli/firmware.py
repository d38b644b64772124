"""Commands for firmware, sensors and power, and ``monitor``: what a chip on a Pi answers to them.

Facts: ``hailortcli`` and ``libhailort`` 4.17.0 to 5.2.0. Hailo-10H answers most of them with
HAILO_NOT_IMPLEMENTED. What the firmware of a Hailo-8 without flash memory answers is known by
status only: the emulator names no firmware codes.
"""

from __future__ import annotations

import signal
import sys
import threading
from typing import TYPE_CHECKING, NoReturn

from hailo_emulator.runtime.cli.usage import INVALID, VALIDATION, UsageError
from hailo_emulator.runtime.device import (
    Control,
    check_driver,
    identity_lines,
    list_devices,
    status_text,
)
from hailo_emulator.runtime.status import (
    HailoRTException,
    exception_from_status,
    fail,
    log,
    status_of,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from hailo_emulator.runtime.settings import Setup

    Operation = Callable[[Setup, argparse.Namespace, str], None]

#: ``fw-update`` takes files that begin with this word (little endian).
FIRMWARE_MAGIC = 0x1DD89DE0
#: Flash sections of a sensor's settings.
SECTIONS = 8
ADDRESS_PORTS = range(32401, 32417)
MONITOR_PERIOD_S = 1.0
#: Column widths of the monitor's three tables.
_NAME, _SHARE, _NUMBER, _FRAMES = 60, 25, 15, 8


def on_devices(
    setup: Setup, options: argparse.Namespace, operation: Operation, *, quiet: bool = False
) -> int:
    """Do ``operation`` on each device, best effort; the last status that is no success counts.

    Without a device nothing is printed and the status is 0: success shows in the output only.
    """
    found = list_devices()
    wanted = options.device_ids or found
    if unknown := [name for name in wanted if name not in found]:
        log("error", f"Requested device not found: {unknown[0]}")
        raise exception_from_status(2)
    status = 0
    for device in wanted:
        try:
            check_driver(setup)
        except HailoRTException as error:
            # The library fails before the tool could say which device it works on.
            return status_text(error)[0]
        if not quiet:
            print(f"Executing on device: {device}")
        try:
            operation(setup, options, device)
        except HailoRTException as error:
            status, name = status_text(error)
            text = f"Failed to execute on device: {device}. status= {name}({status})"
            sys.stderr.write(f"{text}\n")
    return status


def identify(setup: Setup, options: argparse.Namespace) -> int:
    """``fw-control identify``."""
    return on_devices(setup, options, _identify)


def _identify(setup: Setup, options: argparse.Namespace, device: str) -> None:
    print("Identifying board")
    for line in identity_lines(setup):
        print(line)
    print()
    if setup.remote:  # the chip has no field that could say it
        sys.stderr.write("emulated by hefsmith: no Hailo chip is here\n")


def reset(setup: Setup, options: argparse.Namespace) -> int:
    """``fw-control reset``: each line refuses what the other one can."""
    return on_devices(setup, options, _reset)


def _reset(setup: Setup, options: argparse.Namespace, device: str) -> None:
    if setup.remote and options.reset_type != "chip":
        _refuse("HAILO_NOT_IMPLEMENTED", "Failed reset device")
    if not setup.remote and options.reset_type == "chip":
        fail(
            "HAILO_INVALID_OPERATION",
            "Chip reset is not supported for PCIe device.",
            "CHECK_SUCCESS failed with status=HAILO_INVALID_OPERATION(6) - Failed reset device",
        )
    print("Board has been reset successfully")


def control(setup: Setup, options: argparse.Namespace) -> int:
    """``sensor-config`` and ``fw-config``: the settings lie in flash memory, which is missing."""
    return on_devices(setup, options, _flash)


def _flash(setup: Setup, options: argparse.Namespace, device: str) -> None:
    if setup.remote:
        _refuse("HAILO_NOT_IMPLEMENTED")
    log("error", "Firmware control has failed. (emulated: codes of the firmware are not known)")
    _refuse("HAILO_FW_CONTROL_FAILURE")


def serialize(setup: Setup, options: argparse.Namespace) -> int:
    """``fw-config serialize``: not emulated, the binary layout serves no chip on a Pi."""
    fail("HAILO_NOT_IMPLEMENTED", "fw-config serialize is not emulated by hefsmith")


def update(setup: Setup, options: argparse.Namespace) -> int:
    """``fw-update``: for devices with flash memory only."""
    return on_devices(setup, options, _update)


def _update(setup: Setup, options: argparse.Namespace, device: str) -> None:
    print("Updating firmware")
    try:
        if setup.remote:
            raise exception_from_status(status_of("HAILO_NOT_IMPLEMENTED"))
        start = options.firmware.read_bytes()[:4]
        if int.from_bytes(start, "little") != FIRMWARE_MAGIC:
            fail("HAILO_INVALID_FIRMWARE", "FW update validation failed")
        _flash(setup, options, device)
    except HailoRTException as error:
        code, name = status_text(error)
        sys.stderr.write(f"Update firmware failed, error code {name}({code})\n")
        raise


def fetch_firmware_log(setup: Setup, options: argparse.Namespace) -> int:
    """``fw-logger``: an empty log, as of a chip whose log was just read."""
    return on_devices(setup, options, _fetch_log, quiet=options.stdout)


def _fetch_log(setup: Setup, options: argparse.Namespace, device: str) -> None:
    if not options.stdout:
        try:
            with options.output_file.open("wb" if options.overwrite else "ab"):
                pass
        except OSError as error:
            fail(
                "HAILO_OPEN_FILE_FAILURE",
                f"Failed opening file: {options.output_file}, with errno: {error.errno}",
            )
    if setup.remote:
        _refuse("HAILO_NOT_IMPLEMENTED")


def show_logs(setup: Setup, options: argparse.Namespace) -> int:
    """``logs``: the emulated chip has no operating system of its own, so its logs are empty."""
    if not options.device_ids and not list_devices() and setup.hailort >= (5, 1, 0):
        fail("HAILO_OUT_OF_PHYSICAL_DEVICES", "No devices found")
    # Until 5.0 it is one of the commands that name the device.
    return on_devices(setup, options, lambda *_: None, quiet=setup.hailort >= (5, 1, 0))


def measure_power(setup: Setup, options: argparse.Namespace) -> int:
    """``measure-power``: modules for the Pi have no sensor."""
    return on_devices(setup, options, _measure_power)


def _measure_power(setup: Setup, options: argparse.Namespace, device: str) -> None:
    try:
        chip = Control(device)
        if options.duration:
            chip.stop_power_measurement()
        chip.power_measurement()
    except HailoRTException as error:
        code, name = status_text(error)
        if options.duration:
            text = f"Failed initial power measurement stop, status {name}({code})"
            sys.stderr.write(f"{text}\n")
        sys.stderr.write(f"Failed power measurement, status {name}({code})\n")
        raise


def limit_rate(setup: Setup, options: argparse.Namespace) -> int:
    """``udp-rate-limiter``: for cards behind Ethernet, of which a Pi has none."""
    if not options.board_ip and not options.interface_name:
        msg = "Either --board-ip or --interface-name must be set"
        raise UsageError(msg, INVALID)
    if not options.board_ip:
        fail("HAILO_ETH_FAILURE", f"No board answers on {options.interface_name} (emulated)")
    for port in [options.dport] if options.dport else ADDRESS_PORTS:
        log("error", f"Failed to find interface name for ip {options.board_ip}")
        print(
            f"Failed creating TrafficControlUtil for {options.board_ip}:{port}"
            " with status HAILO_ETH_FAILURE(19); Continuing"
        )
    # A failed reset is told as a whole, a failed limit by its own status.
    return status_of("HAILO_INTERNAL_FAILURE" if options.part == "reset" else "HAILO_ETH_FAILURE")


def monitor(setup: Setup, options: argparse.Namespace) -> int:
    """``monitor``: empty tables once a second until Ctrl-C; no emulated program reports to it."""
    stop = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    sys.stdout.write("\033[?1049h")
    while True:
        sys.stdout.write(monitor_page())
        sys.stdout.flush()
        if stop.wait(MONITOR_PERIOD_S):
            sys.stdout.write("\033[?1049l")
            return 0


def monitor_page() -> str:
    """Return what the monitor shows while no program runs."""
    rule = "-" * (2 * _NAME + _SHARE + _NUMBER)
    blank = f"{' ' * 80}\n" * 2
    return (
        "\033[H\033[J"
        f"{'Device ID':{_NAME}}{'Utilization (%)':{_SHARE}}{'Architecture':{_NAME}}\n{rule}\n"
        f"{blank}{'Model':{_NAME}}{'Utilization (%) ':{_SHARE}}{'FPS':{_NUMBER}}{'PID':{_NUMBER}}\n"
        f"{rule}\n{blank}"
        f"{'Model':{_NAME}}{'Stream':{_NAME}}{'Direction':{_NUMBER}}"
        f"{'Frames Queue':>{3 * _FRAMES - 2}}\n"
        f"{'':{2 * _NAME + _NUMBER}}"
        f"{'Avg':{_FRAMES}}{'Max':{_FRAMES}}{'Min':{_FRAMES}}{'Capacity':{_FRAMES}}\n"
        f"{rule}{'-' * _NUMBER}\n"
        "\x1b[1;32mMonitor did not retrieve any files. This occurs when there is no application "
        "currently running.\nIf this is not the case, verify that environment variable "
        "'HAILO_MONITOR' is set to 1.\n\x1b[0m"
    )


def section(text: str) -> int:
    """Return the number of a section of flash memory that ``text`` is."""
    if not text.isdigit() or int(text) >= SECTIONS:
        msg = f"section_index: Value {text} not in range [0 - {SECTIONS - 1}]"
        raise UsageError(msg, VALIDATION)
    return int(text)


def _refuse(name: str, message: str = "") -> NoReturn:
    code = status_of(name)
    tail = f" - {message}" if message else ""
    log("error", f"CHECK_SUCCESS failed with status={name}({code}){tail}", source="HailoRT CLI")
    raise exception_from_status(code)
