"""Options of the commands in :mod:`firmware`, and which versions have them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hailo_emulator.runtime.cli import firmware
from hailo_emulator.runtime.cli.usage import Parser, add_device_options, existing, positive

if TYPE_CHECKING:
    from hailo_emulator.runtime.cli.usage import Commands, Work
    from hailo_emulator.runtime.settings import Setup

RESET_TYPES = ("chip", "nn_core", "soft", "forced_soft")
LOG_TYPES = ("runtime", "system_control", "nnc")
SENSORS = ("SENSOR_GENERIC", "ONSEMI_AR0220AT", "SENSOR_RASPICAM", "ONSEMI_AS0149AT", "HAILO8_ISP")
SAMPLING_PERIODS_US = (140, 204, 332, 588, 1100, 2116, 4156, 8244)
AVERAGING_FACTORS = (1, 4, 16, 64, 128, 256, 512, 1024)
VOLTAGES = [
    "AUTO",
    "VDD_CORE",
    "VDD_IO",
    "MIPI_AVDD",
    "MIPI_AVDD_H",
    "USB_AVDD_IO",
    "VDD_TOP",
    "USB_AVDD_IO_HV",
    "AVDD_H",
    "SDIO_VDD_IO",
    "OVERCURRENT_PROTECTION",
]
MEASURED = ("AUTO", "SHUNT_VOLTAGE", "BUS_VOLTAGE", "POWER", "CURRENT")


def add_commands(setup: Setup, commands: Commands) -> None:
    """Add the commands that this version of the tool has."""
    _add_control(commands)
    _add_power(commands)
    _add_sensors(commands)
    _add_settings(commands)
    _add_update(commands)
    about = "Monitor of networks - Presents information about the running networks."
    commands.add_parser("monitor", help=about).set_defaults(work=firmware.monitor)
    if setup.hailort < (5, 1, 0):
        _add_logger(commands)
        _add_rate_limiter(commands)
    if setup.hailort >= (5, 0, 0):
        logs = _on_device(commands, "logs", "Prints the device logs", firmware.show_logs)
        logs.add_argument("log_type", choices=LOG_TYPES, nargs="?", default="runtime")
        logs.add_argument("-f", "--follow", action="store_true")


def _on_device(commands: Commands, name: str, about: str, work: Work) -> Parser:
    parser = commands.add_parser(name, help=about)
    add_device_options(parser)
    parser.set_defaults(work=work)
    return parser


def _group(commands: Commands, name: str, about: str, part: str) -> Commands:
    parser = commands.add_parser(name, help=about)
    return parser.add_subparsers(dest=part, required=True, parser_class=Parser)


def _add_control(commands: Commands) -> None:
    parts = _group(commands, "fw-control", "Useful firmware control operations", "operation")
    about = "Displays general information about the device"
    identify = _on_device(parts, "identify", about, firmware.identify)
    identify.add_argument("--extended", action="store_true")
    reset = _on_device(parts, "reset", "Resets the device", firmware.reset)
    reset.add_argument("--reset-type", choices=RESET_TYPES, required=True)


def _add_power(commands: Commands) -> None:
    about = "Measures power consumption"
    power = _on_device(commands, "measure-power", about, firmware.measure_power)
    power.add_argument("--duration", type=positive)
    power.add_argument("--sampling-period", type=int, choices=SAMPLING_PERIODS_US)
    power.add_argument("--averaging-factor", type=int, choices=AVERAGING_FACTORS)
    power.add_argument("--dvm", choices=VOLTAGES, default="AUTO")
    power.add_argument("--type", choices=MEASURED, default="AUTO")


def _add_sensors(commands: Commands) -> None:
    about = "Config sensor attached to the Hailo chip"
    parts = _group(commands, "sensor-config", about, "part")

    def part(name: str, about: str) -> Parser:
        return _on_device(parts, name, about, firmware.control)

    store = part("store-sensor-config", "Store a sensor configuration to a Hailo device")
    store.add_argument("section_index", type=int)
    store.add_argument("config_file_path", type=existing)
    store.add_argument("sensor_type", choices=SENSORS)
    for name, about in (
        ("load-config", "Load the sensor configuration stored in the given section"),
        ("reset-sensor", "Load reset configuration stored in the given section"),
    ):
        part(name, about).add_argument("section_index", type=int)
    part("get-sections-info", "Get the flash sections information")
    dump = part("get-config", "Dumps the configuration stored in the given section into a csv file")
    dump.add_argument("section_index", type=firmware.section)
    dump.add_argument("config_file_path", type=Path)
    isp = part("store_isp_config", "Store an ISP configuration to Hailo device")
    isp.add_argument("isp_static_config_file_path", type=Path)
    isp.add_argument("isp_runtime_config_file_path", type=Path)
    slave = part("set_generic_slave", "Set a custom i2c slave that can be used")
    for name in ("slave_address", "register_address_size", "bus_index"):
        slave.add_argument(name, type=int)
    slave.add_argument("--should-hold-bus", default="false")
    slave.add_argument("--slave-endianness", choices=("BIG_ENDIAN", "LITTLE_ENDIAN"))
    for parser in (store, isp):
        for name in ("reset-config-size", "config-height", "config-width", "config-fps"):
            parser.add_argument(f"--{name}", type=int)
        parser.add_argument("--config-name", default="UNINITIALIZED")


def _add_settings(commands: Commands) -> None:
    parts = _group(commands, "fw-config", "User firmware configuration tool", "part")
    about = "Read firmware configuration from device"
    _on_device(parts, "read", about, firmware.control).add_argument("--output-file", type=Path)
    about = "Write firmware configuration to device"
    _on_device(parts, "write", about, firmware.control).add_argument("input_file", type=existing)
    about = "Serialize firmware configuration json to a binary file"
    binary = parts.add_parser("serialize", help=about)
    binary.add_argument("input_file", type=existing)
    binary.add_argument("output_file", type=Path)
    binary.set_defaults(work=firmware.serialize)


def _add_update(commands: Commands) -> None:
    about = "Firmware update tool (only for flash based devices)"
    update = _on_device(commands, "fw-update", about, firmware.update)
    update.add_argument("firmware", type=existing)
    update.add_argument("--skip-reset", action="store_true")


def _add_logger(commands: Commands) -> None:
    about = "Download fw logs to a file"
    logger = _on_device(commands, "fw-logger", about, firmware.fetch_firmware_log)
    logger.add_argument("output_file", type=Path)
    for name in ("overwrite", "stdout", "continuos"):
        logger.add_argument(f"--{name}", action="store_true")


def _add_rate_limiter(commands: Commands) -> None:
    parts = _group(commands, "udp-rate-limiter", "Limit the UDP rate", "part")
    set_rate = parts.add_parser("set", help="Sets the udp rate limit")
    set_rate.add_argument("--kbit-rate", type=int, required=True)
    reset = parts.add_parser("reset", help="Resets the udp rate limit")
    of_hef = parts.add_parser("autoset", help="Sets the udp limiter based on an existing HEF")
    of_hef.add_argument("--hef", type=existing, required=True)
    of_hef.add_argument("--fps", type=int, required=True)
    of_hef.add_argument("--network-group-name")
    for parser in (set_rate, reset, of_hef):
        group = parser.add_mutually_exclusive_group()
        group.add_argument("--board-ip")
        group.add_argument("--interface-name")
        parser.add_argument("--dport", type=int, default=0)
        parser.set_defaults(work=firmware.limit_rate)
    for parser in (set_rate, of_hef):
        parser.add_argument("-f", "--force", action="store_true")
