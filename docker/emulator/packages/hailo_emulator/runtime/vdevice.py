"""``VDevice``: opening the chip, and loading models to it by either interface."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn, Self

from hailo_emulator.runtime.binding import Struct, border, since
from hailo_emulator.runtime.device import Device, Lock, check_firmware, list_devices, out_of_devices
from hailo_emulator.runtime.formats import (
    HailoPowerMode,
    HailoSchedulingAlgorithm,
    HailoStreamInterface,
)
from hailo_emulator.runtime.hef import HEF, check_device
from hailo_emulator.runtime.settings import Setup, read_setup
from hailo_emulator.runtime.status import HailoRTException, exception_from_status, fail, log

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hailo_emulator.runtime.infer_model import InferModel
    from hailo_emulator.runtime.network import LoadedNetwork
    from hailo_emulator.runtime.vstreams import ConfiguredNetwork

_OLDER_API_HINT = (
    "Not supported. Did you try calling `create_configure_params` on H10? If so, use InferModel "
    "instead"
)


@dataclass
class VDeviceParams(Struct):
    """How to open a virtual device.

    Fact (``VDeviceParams.default`` in ``pyhailort.cpp``): up to 4.23 Python's default is without
    the scheduler, unlike C++'s; from 5.0 on it is with it. 4.17 ties the service to the scheduler.
    """

    device_count: int = 1
    scheduling_algorithm: HailoSchedulingAlgorithm = HailoSchedulingAlgorithm.NONE
    group_id: str = "UNIQUE"
    multi_process_service: bool = False
    device_ids: list[str] | None = None

    def __setattr__(self, name: str, value: object) -> None:
        """Set a member, in 4.17 the service with the scheduler and never alone."""
        tied = read_setup().hailort < (4, 18, 0) and "device_ids" in vars(self)
        if tied and name == "multi_process_service":
            msg = "can't set attribute"
            raise AttributeError(msg)
        super().__setattr__(name, value)
        if tied and name == "scheduling_algorithm":
            scheduled = value is not HailoSchedulingAlgorithm.NONE
            object.__setattr__(self, "multi_process_service", scheduled)


def default_scheduling() -> HailoSchedulingAlgorithm:
    """Return what parameters start with."""
    if read_setup().hailort < (5, 0, 0):
        return HailoSchedulingAlgorithm.NONE
    return HailoSchedulingAlgorithm.ROUND_ROBIN


@dataclass
class ConfigureNetworkGroupParams(Struct):
    """How one model is loaded by the older interface; programs set its members."""

    name: str
    interface: HailoStreamInterface
    batch_size: int = 0
    power_mode: HailoPowerMode = HailoPowerMode.PERFORMANCE


class ConfigureParams:
    """Maker of the parameters of the older interface."""

    @staticmethod
    @border
    def create_from_hef(
        hef: HEF, interface: HailoStreamInterface
    ) -> dict[str, ConfigureNetworkGroupParams]:
        """Return parameters by the name of the model; Hailo-10H answers NOT_IMPLEMENTED."""
        if not read_setup().has_older_api:
            refuse_older_api()
        return {
            name: ConfigureNetworkGroupParams(name, interface)
            for name in hef.get_network_group_names()
        }


def refuse_older_api() -> NoReturn:
    """Fail as the library does for calls that Hailo-10H does not have."""
    log("error", _OLDER_API_HINT)
    log("error", "CHECK_SUCCESS failed with status=HAILO_NOT_IMPLEMENTED(7)")
    raise exception_from_status(7)


class VDevice:
    """The chip, opened by this process. Use as a context manager."""

    def __init__(
        self, params: VDeviceParams | None = None, *, device_ids: list[str] | None = None
    ) -> None:
        self._lock: Lock | None = None
        self._creation_pid = os.getpid()
        self._params = params if params is not None else VDevice.create_params()
        if params is not None and params.device_ids and device_ids:
            fail("HAILO_INVALID_OPERATION", "device_ids given twice", check=False)
        wanted = device_ids or self._params.device_ids or []
        if device_ids:
            # As the binding does: of ``params`` nothing stays.
            self._params = VDevice.create_params()
            self._params.device_ids = device_ids
        setup = read_setup()
        found = list_devices()
        if unknown := [name for name in wanted if name not in found]:
            fail("HAILO_INVALID_ARGUMENT", f"Requested device not found: {unknown[0]}", check=False)
        if not found or self._params.device_count > len(found):
            out_of_devices()
        self._ids = wanted or found
        if self._params.multi_process_service and not self.scheduled:
            fail(
                "HAILO_INVALID_ARGUMENT",
                "Multi-process service is supported only with HailoRT scheduler, please choose "
                "scheduling algorithm",
            )
        self._lock = Lock.take(
            setup,
            specific=bool(wanted),
            group=self._params.group_id,
            service=self._params.multi_process_service,
        )
        self._loaded: list[ConfiguredNetwork] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()

    def __del__(self) -> None:
        with suppress(Exception):
            self.release()

    def release(self) -> None:
        """Let go of the chip; safe to call twice."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    @staticmethod
    def create_params() -> VDeviceParams:
        """Return the defaults: one device, for this process alone."""
        return VDeviceParams(scheduling_algorithm=default_scheduling())

    @property
    def scheduled(self) -> bool:
        """True when the library switches models itself (no activation needed)."""
        return self._params.scheduling_algorithm is not HailoSchedulingAlgorithm.NONE

    @property
    def is_open(self) -> bool:
        """False once the chip was let go of."""
        return self._lock is not None

    def configure(
        self,
        hef: HEF,
        configure_params_by_name: Mapping[str, ConfigureNetworkGroupParams] | None = None,
    ) -> list[ConfiguredNetwork]:
        """Load the models of a HEF by the older interface."""
        from hailo_emulator.runtime.vstreams import ConfiguredNetwork

        if self._creation_pid != os.getpid():
            msg = "VDevice can only be configured from the process it was created in."
            raise HailoRTException(msg)
        if not read_setup().has_older_api:
            refuse_older_api()
        for name in configure_params_by_name or {}:
            if name not in hef.get_network_group_names():
                fail("HAILO_INVALID_ARGUMENT", f"Unused params for network group {name}")
        network = self.load(hef)
        configured = ConfiguredNetwork(network, self)
        self._loaded.append(configured)
        return [configured]

    @since(4, 18, 0)
    def create_infer_model(self, hef_source: str | bytes, name: str = "") -> InferModel:
        """Prepare a model for the newer interface, which every chip has."""
        from hailo_emulator.runtime.infer_model import InferModel

        if os.getpid() != self._creation_pid:
            msg = "InferModel can be created only from the process VDevice was created in."
            raise HailoRTException(msg)
        hef = HEF(hef_source)
        if name and name not in hef.get_network_group_names():
            fail("HAILO_NOT_FOUND", f"HEF does not contain network_group with name {name}")
        return InferModel(self, hef)

    def load(self, hef: HEF) -> LoadedNetwork:
        """Check a HEF against the chip and load it (not part of the vendor's interface)."""
        from hailo_emulator.runtime.network import LoadedNetwork

        setup = read_setup()
        check_device(hef.content, setup)
        check_firmware(setup)
        check_page_size(setup)
        return LoadedNetwork(hef)

    def get_physical_devices_ids(self) -> list[str]:
        """Return the identifiers of the chips behind this one."""
        return list(self._ids)

    def get_physical_devices(self) -> list[Device]:
        """Return the chips behind this one."""
        return [Device(name) for name in self._ids]

    @property
    def loaded_network_groups(self) -> list[ConfiguredNetwork]:
        """Models loaded by the older interface."""
        return self._loaded


def check_page_size(setup: Setup) -> None:
    """Fail as drivers do on a kernel with 16 KB pages, until told to use 4 KB."""
    if setup.has("page_size"):
        fail(
            "HAILO_INTERNAL_FAILURE",
            "max_desc_page_size given 16384 is bigger than hw max desc page size 4096",
        )
