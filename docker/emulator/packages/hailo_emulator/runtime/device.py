"""The emulated device: whether it is there, who holds it, what it says about itself."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, ClassVar, NoReturn, Self

from hailo_emulator.runtime.formats import (
    DeviceArchitectureTypes,
    DvmTypes,
    PowerMeasurementTypes,
)
from hailo_emulator.runtime.settings import DEVICE_ID, Setup, read_setup
from hailo_emulator.runtime.status import (
    HailoRTException,
    exception_from_status,
    fail,
    log,
    status_of,
)

#: Shown wherever a real chip shows its own, so that nobody takes this one for real.
SERIAL = "EMULATED"
TEMPERATURE_C = 40.0


def list_devices() -> list[str]:
    """Return the identifiers of the devices that the driver would list.

    Without a device 4.23 and 5.1 on return an empty list; earlier versions fail with
    status 64, because the driver's class folder is missing.
    """
    setup = read_setup()
    if setup.visible:
        return ["Integrated" if setup.integrated else DEVICE_ID]
    # Where the driver is loaded but bound nothing its class exists: an empty list everywhere.
    class_missing = not setup.has("no_firmware")
    if class_missing and not setup.silent_without_device:
        log(
            "error",
            "Can't find hailort driver class. Can happen if the driver is not installed, if the "
            "kernel was updated or on some driver failure (then read driver dmesg log)",
        )
        log("error", "CHECK_SUCCESS failed with status=HAILO_DRIVER_NOT_INSTALLED(64)")
        raise exception_from_status(64)
    return []


def check_driver(setup: Setup) -> None:
    """Refuse as the library does when the kernel driver has another version."""
    if setup.has("driver_mismatch"):
        fail(
            "HAILO_INVALID_DRIVER_VERSION",
            f"Driver version ({setup.other_version}) is different from library version "
            f"({setup.version})",
            "Driver version mismatch, status HAILO_INVALID_DRIVER_VERSION(76)",
        )


def check_firmware(setup: Setup) -> None:
    """Refuse all but identification, as the library does with firmware of another version."""
    if setup.has("old_firmware"):
        fail(
            "HAILO_UNSUPPORTED_FW_VERSION",
            "Operation is not allowed when FW version in not supported. Host supported FW version "
            f"is {setup.version}",
        )


#: Group identifier that is never shared.
UNIQUE_GROUP = "UNIQUE"


class Lock:
    """The mark that this process uses the device: an open, locked device node.

    VDevices of one process and one group share it; processes share the device through the
    multi-process service. A Hailo-10H has a server of its own instead (5.1 on), which lets
    processes that name the same group in, and refuses the service.
    """

    _groups: ClassVar[dict[tuple[int, str], Lock]] = {}
    #: Threads of one program open the chip at once; a collection may release one meanwhile.
    _guard: ClassVar[threading.RLock] = threading.RLock()

    def __init__(self, node: IO[bytes] | None, key: tuple[int, str]) -> None:
        self._node = node
        self._key = key
        self.users = 1

    @classmethod
    def take(
        cls, setup: Setup, *, specific: bool, group: str = UNIQUE_GROUP, service: bool = False
    ) -> Lock:
        """Take the device, or fail with 73 (asked for by identifier) or 74 (any free one)."""
        check_driver(setup)
        # Facts: ``VDeviceBase::validate_params`` and ``hailort_server.cpp``, 5.1.1 and 5.2.0.
        own_server = setup.remote and setup.hailort >= (5, 1, 0)
        if own_server and service:
            fail(
                "HAILO_INVALID_OPERATION",
                "Using the Multi Process Service is needed only on Hailo-8 and Hailo-15 devices. "
                "Hailo-10H supports multi-process functionality without requiring a service",
            )
        if setup.has("old_firmware"):
            log(
                "warning",
                f"Unsupported firmware operation. Host: {setup.version}, "
                f"Device: {'.'.join(map(str, setup.firmware))}",
            )
        key = (os.getpid(), group)
        with cls._guard:
            if group != UNIQUE_GROUP and key in cls._groups:
                found = cls._groups[key]
                found.users += 1
                return found
            node = None
            busy = setup.has("device_busy")
            if not busy and setup.node is not None:
                # A chip of a group of its own is given to one program only, by all of them.
                together = (service or own_server) and group != UNIQUE_GROUP
                node = _open_locked(setup, shared=together)
                busy = node is None
            if busy and (specific or own_server):
                fail("HAILO_DEVICE_IN_USE", "Failed to mark the device as used", check=False)
            if busy:
                out_of_devices()
            taken = cls(node, key)
            if group != UNIQUE_GROUP:
                cls._groups[key] = taken
            return taken

    def release(self) -> None:
        """Let go of the device, once for each time that it was taken."""
        with self._guard:
            self.users -= 1
            if self.users == 0:
                self._groups.pop(self._key, None)
                if self._node is not None:
                    self._node.close()
                    self._node = None


def _open_locked(setup: Setup, *, shared: bool) -> IO[bytes] | None:
    assert setup.node is not None
    try:
        node = setup.node.open("r+b")
    except OSError as error:
        fail(
            "HAILO_DRIVER_OPERATION_FAILED",
            f"Failed to open device file {setup.node} with error {error.errno}",
        )
    if sys.platform != "win32":
        import fcntl

        try:
            fcntl.flock(node, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError:
            node.close()
            return None
    return node


def out_of_devices() -> NoReturn:
    """Fail as the library does when no free device is left."""
    fail(
        "HAILO_OUT_OF_PHYSICAL_DEVICES",
        "Failed to create vdevice. there are not enough free devices. requested: 1, found: 0",
    )


@dataclass(frozen=True)
class FirmwareVersion:
    """Version of the chip's firmware."""

    major: int
    minor: int
    revision: int


_FAMILIES = {
    "HAILO8": "hailo8",
    "HAILO8L": "hailo8",
    "HAILO15H": "hailo15",
    "HAILO15M": "hailo15",
    "HAILO10H": "hailo10",
}


@dataclass(frozen=True)
class BoardInformation:
    """What ``Control.identify`` answers."""

    protocol_version: int
    firmware_version: FirmwareVersion
    logger_version: int
    board_name: str
    is_release: bool
    device_architecture: DeviceArchitectureTypes
    serial_number: str
    part_number: str
    product_name: str

    def __str__(self) -> str:
        return "\n".join(identity_lines(read_setup())) + "\n"

    @staticmethod
    def get_hw_arch_str(device_arch: DeviceArchitectureTypes) -> str:
        """Return the compiler's word for a family of chips."""
        family = _FAMILIES.get(device_arch.name)
        if family is None:
            msg = "Unsupported device architecture."
            raise HailoRTException(msg)
        return family


@dataclass(frozen=True)
class TemperatureInfo:
    """Two sensors of the chip, in degrees Celsius; always the same here."""

    ts0_temperature: float = TEMPERATURE_C
    ts1_temperature: float = TEMPERATURE_C
    sample_count: int = 1


@dataclass(frozen=True)
class ExtendedDeviceInformation:
    """Clock and boot of the chip; the emulated one has neither."""

    neural_network_core_clock_rate: int = 0
    boot_source: str = "PCIE"
    lcs: int = 0
    soc_id: bytes = b""
    eth_mac_address: bytes = b""
    unit_level_tracking_id: bytes = b""
    soc_pm_values: bytes = b""
    gpio_mask: int = 0


def identity_lines(setup: Setup) -> list[str]:
    """Return what ``hailortcli fw-control identify`` prints below ``Identifying board``."""
    suffix = (
        "release,app,extended context switch buffer"
        if setup.chip.line.runtime == 4
        else "release,app"
    )
    lines = [
        "Control Protocol Version: 2",
        f"Firmware Version: {'.'.join(map(str, setup.firmware))} ({suffix})",
        "Logger Version: 0",
    ]
    architecture = f"Device Architecture: {setup.chip.printed}"
    if setup.remote:
        # Names of the board are empty there, and the tool leaves out empty ones from 5.0 on.
        return [*lines, architecture]
    return [
        *lines,
        f"Board Name: {setup.figures.board}",
        architecture,
        f"Serial Number: {SERIAL}",
        f"Part Number: {setup.figures.part}",
        f"Product Name: {setup.figures.product} (EMULATED BY HEFSMITH)",
    ]


class Control:
    """Control calls of one device, as far as programs on a Pi use them."""

    def __init__(self, device_id: str) -> None:
        self._device_id = device_id

    @property
    def device_id(self) -> str:
        """Identifier of the device."""
        return self._device_id

    def identify(self) -> BoardInformation:
        """Return what the device says about itself."""
        setup = read_setup()
        return BoardInformation(
            protocol_version=2,
            firmware_version=FirmwareVersion(*setup.firmware),
            logger_version=0,
            board_name="" if setup.remote else setup.figures.board,
            is_release=True,
            device_architecture=DeviceArchitectureTypes[setup.chip.shows],
            serial_number="" if setup.remote else SERIAL,
            part_number="" if setup.remote else setup.figures.part,
            product_name="" if setup.remote else f"{setup.figures.product} (EMULATED BY HEFSMITH)",
        )

    def get_chip_temperature(self) -> TemperatureInfo:
        """Return a constant: the emulator has no chip that could get warm."""
        return TemperatureInfo()

    def get_throttling_state(self) -> bool:
        """Return True: protection by temperature and current is on, as in a new module."""
        return True

    def set_throttling_state(self, should_activate: bool) -> None:
        """Accepted, without effect."""

    def get_extended_device_information(self) -> ExtendedDeviceInformation:
        """Return what the chip says beside its identity."""
        return ExtendedDeviceInformation()

    def start_power_measurement(
        self, averaging_factor: object = None, sampling_period: object = None
    ) -> NoReturn:
        """Fail, as :meth:`power_measurement`."""
        self.power_measurement()

    def set_power_measurement(
        self,
        buffer_index: object = None,
        dvm: DvmTypes = DvmTypes.AUTO,
        measurement_type: PowerMeasurementTypes = PowerMeasurementTypes.AUTO,
    ) -> NoReturn:
        """Fail, as :meth:`power_measurement`."""
        self.power_measurement()

    def get_power_measurement(
        self, buffer_index: object = None, should_clear: bool = True
    ) -> NoReturn:
        """Fail, as :meth:`power_measurement`."""
        self.power_measurement()

    def stop_power_measurement(self) -> NoReturn:
        """Fail, as :meth:`power_measurement`."""
        self.power_measurement()

    def power_measurement(
        self,
        dvm: DvmTypes = DvmTypes.AUTO,
        measurement_type: PowerMeasurementTypes = PowerMeasurementTypes.AUTO,
    ) -> NoReturn:
        """Fail: like the modules sold for the Pi, the emulated one has no power sensor."""
        if read_setup().remote:
            fail("HAILO_OPEN_FILE_FAILURE", "Power measurement found no sensor", check=False)
        fail(
            "HAILO_UNSUPPORTED_OPCODE",
            "Opcode HAILO_CONTROL_OPCODE_POWER_MEASUEMENT is not supported on the current board.",
            check=False,
        )


class Device:
    """One physical device, for control; inference needs a VDevice."""

    @classmethod
    def scan(cls) -> list[str]:
        """Return the identifiers of all devices."""
        return list_devices()

    def __init__(self, device_id: str | None = None) -> None:
        if device_id is None:
            found = list_devices()
            if not found:
                msg = "HailoRT device not found in the system"
                raise HailoRTException(msg)
            device_id = found[0]
        elif device_id not in list_devices():
            fail("HAILO_INVALID_ARGUMENT", f"Requested device not found: {device_id}", check=False)
        check_driver(read_setup())
        self._device_id = device_id
        self._control = Control(device_id)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()

    def release(self) -> None:
        """Do nothing: control calls hold no resource here."""

    @property
    def device_id(self) -> str:
        """Identifier of the device."""
        return self._device_id

    @property
    def control(self) -> Control:
        """The control calls."""
        return self._control

    def __repr__(self) -> str:
        return f"Device({self._device_id!r})"


def status_text(error: HailoRTException) -> tuple[int, str]:
    """Return status and name of an exception, HAILO_INTERNAL_FAILURE when it has none."""
    from hailo_emulator.runtime.status import get_status_message

    code = error.status if error.status is not None else status_of("HAILO_INTERNAL_FAILURE")
    with suppress(Exception):
        return code, get_status_message(code)
    return code, "HAILO_INTERNAL_FAILURE"
