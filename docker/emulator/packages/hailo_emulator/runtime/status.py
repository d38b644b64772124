"""HailoRT's status codes, the exceptions that its Python binding makes of them, and its log.

Facts: HailoRT 5.2.0 ``hailort.h`` (codes), ``pyhailort.py`` (exceptions), ``hailort_logger.cpp``.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import NoReturn

from hailo_emulator.runtime.settings import read_setup

_NAMES = (
    "SUCCESS UNINITIALIZED INVALID_ARGUMENT OUT_OF_HOST_MEMORY TIMEOUT INSUFFICIENT_BUFFER "
    "INVALID_OPERATION NOT_IMPLEMENTED INTERNAL_FAILURE DATA_ALIGNMENT_FAILURE CHUNK_TOO_LARGE "
    "INVALID_LOGGER_LEVEL CLOSE_FAILURE OPEN_FILE_FAILURE FILE_OPERATION_FAILURE "
    "UNSUPPORTED_CONTROL_PROTOCOL_VERSION UNSUPPORTED_FW_VERSION INVALID_CONTROL_RESPONSE "
    "FW_CONTROL_FAILURE ETH_FAILURE ETH_INTERFACE_NOT_FOUND ETH_RECV_FAILURE ETH_SEND_FAILURE "
    "INVALID_FIRMWARE INVALID_CONTEXT_COUNT INVALID_FRAME INVALID_HEF "
    "PCIE_NOT_SUPPORTED_ON_PLATFORM INTERRUPTED_BY_SIGNAL START_VDMA_CHANNEL_FAIL "
    "SYNC_VDMA_BUFFER_FAIL STOP_VDMA_CHANNEL_FAIL CLOSE_VDMA_CHANNEL_FAIL "
    "ATR_TABLES_CONF_VALIDATION_FAIL EVENT_CREATE_FAIL READ_EVENT_FAIL DRIVER_OPERATION_FAILED "
    "INVALID_FIRMWARE_MAGIC INVALID_FIRMWARE_CODE_SIZE INVALID_KEY_CERTIFICATE_SIZE "
    "INVALID_CONTENT_CERTIFICATE_SIZE MISMATCHING_FIRMWARE_BUFFER_SIZES INVALID_FIRMWARE_CPU_ID "
    "CONTROL_RESPONSE_MD5_MISMATCH GET_CONTROL_RESPONSE_FAIL GET_D2H_EVENT_MESSAGE_FAIL "
    "MUTEX_INIT_FAIL OUT_OF_DESCRIPTORS UNSUPPORTED_OPCODE USER_MODE_RATE_LIMITER_NOT_SUPPORTED "
    "RATE_LIMIT_MAXIMUM_BANDWIDTH_EXCEEDED ANSI_TO_UTF16_CONVERSION_FAILED "
    "UTF16_TO_ANSI_CONVERSION_FAILED UNEXPECTED_INTERFACE_INFO_FAILURE "
    "UNEXPECTED_ARP_TABLE_FAILURE MAC_ADDRESS_NOT_FOUND NO_IPV4_INTERFACES_FOUND "
    "SHUTDOWN_EVENT_SIGNALED THREAD_ALREADY_ACTIVATED THREAD_NOT_ACTIVATED THREAD_NOT_JOINABLE "
    "NOT_FOUND COMMUNICATION_CLOSED STREAM_ABORT DRIVER_NOT_INSTALLED NOT_AVAILABLE "
    "TRAFFIC_CONTROL_FAILURE INVALID_SECOND_STAGE INVALID_PIPELINE NETWORK_GROUP_NOT_ACTIVATED "
    "VSTREAM_PIPELINE_NOT_ACTIVATED OUT_OF_FW_MEMORY STREAM_NOT_ACTIVATED DEVICE_IN_USE "
    "OUT_OF_PHYSICAL_DEVICES INVALID_DEVICE_ARCHITECTURE INVALID_DRIVER_VERSION RPC_FAILED "
    "INVALID_SERVICE_VERSION NOT_SUPPORTED NMS_BURST_INVALID_DATA OUT_OF_HOST_CMA_MEMORY "
    "QUEUE_IS_FULL DMA_MAPPING_ALREADY_EXISTS CANT_MEET_BUFFER_REQUIREMENTS "
    "DRIVER_INVALID_RESPONSE DRIVER_INVALID_IOCTL DRIVER_TIMEOUT DRIVER_INTERRUPTED "
    "CONNECTION_REFUSED DRIVER_WAIT_CANCELED HEF_FILE_CORRUPTED HEF_NOT_SUPPORTED "
    "HEF_NOT_COMPATIBLE_WITH_DEVICE INVALID_HEF_USE OPERATION_ABORTED DEVICE_NOT_CONNECTED "
    "DEVICE_TEMPORARILY_UNAVAILABLE "
)

#: Code -> name, 0 to 97, each name with its ``HAILO_``.
STATUS_NAMES = tuple(f"HAILO_{name}" for name in _NAMES.split())
#: Name -> code, for readable calls.
STATUS = {name: code for code, name in enumerate(STATUS_NAMES)}


class HailoRTException(Exception):
    """Root of what the binding raises; ``status`` is the library's code, or None."""

    status: int | None = None


class InvalidProtocolVersionException(HailoRTException):
    """Status 15."""


class HailoRTFirmwareControlFailedException(HailoRTException):
    """Status 18."""


class HailoRTInvalidFrameException(HailoRTException):
    """Status 25."""


class HailoRTUnsupportedOpcodeException(HailoRTException):
    """Status 48."""


class HailoRTTimeout(HailoRTException):
    """Status 4."""


class HailoRTStreamAborted(HailoRTException):
    """Status 63."""


class HailoRTStreamAbortedByUser(HailoRTException):
    """The user closed the stream."""


class HailoRTInvalidOperationException(HailoRTException):
    """Status 6."""


class HailoRTInvalidArgumentException(HailoRTException):
    """Status 2."""


class HailoRTNotFoundException(HailoRTException):
    """Status 61."""


class HailoRTInvalidHEFException(HailoRTException):
    """Status 26."""


class HailoRTHEFNotCompatibleWithDevice(HailoRTException):
    """Status 93."""


class HailoRTEthException(HailoRTException):
    """Status 19."""


class HailoRTDriverOperationFailedException(HailoRTException):
    """Status 36."""


HailoRTPCIeDriverException = HailoRTDriverOperationFailedException


class HailoRTNetworkGroupNotActivatedException(HailoRTException):
    """Status 69."""


class HailoCommunicationClosedException(HailoRTException):
    """Status 62."""


class HailoStatusInvalidValueException(Exception):
    """A number that is no status."""


_LOG_HINT = "See hailort.log for more information"
_EXCEPTIONS: dict[str, tuple[type[HailoRTException], str]] = {
    "HAILO_UNSUPPORTED_CONTROL_PROTOCOL_VERSION": (
        InvalidProtocolVersionException,
        "HailoRT has failed because an invalid protocol version was received from device",
    ),
    "HAILO_FW_CONTROL_FAILURE": (
        HailoRTFirmwareControlFailedException,
        "libhailort control operation failed",
    ),
    "HAILO_UNSUPPORTED_OPCODE": (
        HailoRTUnsupportedOpcodeException,
        "HailoRT has failed because an unsupported opcode was sent to device",
    ),
    "HAILO_INVALID_FRAME": (HailoRTInvalidFrameException, "An invalid frame was received"),
    "HAILO_TIMEOUT": (
        HailoRTTimeout,
        "Received a timeout - hailort has failed because a timeout had occurred",
    ),
    "HAILO_STREAM_ABORT": (HailoRTStreamAborted, "Stream was aborted"),
    "HAILO_INVALID_OPERATION": (
        HailoRTInvalidOperationException,
        f"Invalid operation. {_LOG_HINT}",
    ),
    "HAILO_INVALID_ARGUMENT": (HailoRTInvalidArgumentException, f"Invalid argument. {_LOG_HINT}"),
    "HAILO_NOT_FOUND": (HailoRTNotFoundException, f"Item not found. {_LOG_HINT}"),
    "HAILO_INVALID_HEF": (HailoRTInvalidHEFException, f"Invalid HEF. {_LOG_HINT}"),
    "HAILO_HEF_NOT_COMPATIBLE_WITH_DEVICE": (
        HailoRTHEFNotCompatibleWithDevice,
        f"HEF file is not compatible with device. {_LOG_HINT}",
    ),
    "HAILO_ETH_FAILURE": (HailoRTEthException, "Ethernet failure. " + _LOG_HINT),
    "HAILO_DRIVER_OPERATION_FAILED": (
        HailoRTDriverOperationFailedException,
        "Failure in hailort driver ioctl. run 'dmesg | grep hailo' for more information",
    ),
    "HAILO_COMMUNICATION_CLOSED": (
        HailoCommunicationClosedException,
        "Communication closed failure. Check server-client connection",
    ),
    "HAILO_NETWORK_GROUP_NOT_ACTIVATED": (
        HailoRTNetworkGroupNotActivatedException,
        "Network group is not activated",
    ),
}


def status_of(name: str) -> int:
    """Return the code that this HailoRT version gives for ``name``.

    Up to 4.20 the statuses for bad and incompatible HEFs are all HAILO_INVALID_HEF.
    """
    code = STATUS[name]
    return STATUS["HAILO_INVALID_HEF"] if 91 <= code <= 93 and read_setup().legacy_status else code


def get_status_message(status_code: int) -> str:
    """Return the name of a status, as the binding's function of this name does."""
    if not 0 <= status_code < len(STATUS_NAMES):
        msg = f"Value {status_code} is not a valid status"
        raise HailoStatusInvalidValueException(msg)
    return STATUS_NAMES[status_code]


def exception_from_status(status_code: int) -> HailoRTException:
    """Return the exception that the binding raises for ``status_code``."""
    name = get_status_message(status_code)
    kind, text = _EXCEPTIONS.get(
        name, (HailoRTException, f"libhailort failed with error: {status_code} ({name})")
    )
    error = kind(text)
    error.status = status_code
    return error


def log(level: str, text: str, source: str = "HailoRT") -> None:
    """Write one line to stderr and to hailort.log, where the library writes its own.

    ``HAILORT_LOGGER_PATH`` names the folder of the log file; ``NONE`` turns the file off.
    """
    sys.stderr.write(f"[{source}] [{level}] {text}\n")
    sys.stderr.flush()
    folder = os.environ.get("HAILORT_LOGGER_PATH", "")
    if folder == "NONE":
        return
    stamp = time.strftime("%Y-%m-%d %H:%M:%S")
    try:
        with (Path(folder or ".") / "hailort.log").open("a", encoding="utf-8") as file:
            file.write(f"[{stamp}] [{os.getpid()}] [{source}] [{level}] {text}\n")
    except OSError:
        sys.stderr.write("HailoRT warning: Cannot create log file hailort.log!\n")


def fail(name: str, first: str, *rest: str, check: bool = True) -> NoReturn:
    """Log as the library's check macros do, then raise the exception of status ``name``.

    ``first`` is the message of the check that failed; ``rest`` are lines of the callers above.
    """
    code = status_of(name)
    log("error", f"CHECK failed - {first}" if check else first)
    for line in rest:
        log("error", line)
    log("error", f"CHECK_SUCCESS failed with status={get_status_message(code)}({code})")
    raise exception_from_status(code)
