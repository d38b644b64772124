"""Every status of HailoRT's public headers, by number and by name, has a meaning and a remedy."""

from __future__ import annotations

import pytest

from orchestrator.diagnose.catalogue import meaning_of
from orchestrator.diagnose.log_reader import read_log

#: hailort.h of 4.6 to 5.2 (github.com/hailo-ai/hailort): the names in the order of their numbers.
NAMES = """
SUCCESS UNINITIALIZED INVALID_ARGUMENT OUT_OF_HOST_MEMORY TIMEOUT INSUFFICIENT_BUFFER
INVALID_OPERATION NOT_IMPLEMENTED INTERNAL_FAILURE DATA_ALIGNMENT_FAILURE CHUNK_TOO_LARGE
INVALID_LOGGER_LEVEL CLOSE_FAILURE OPEN_FILE_FAILURE FILE_OPERATION_FAILURE
UNSUPPORTED_CONTROL_PROTOCOL_VERSION UNSUPPORTED_FW_VERSION INVALID_CONTROL_RESPONSE
FW_CONTROL_FAILURE ETH_FAILURE ETH_INTERFACE_NOT_FOUND ETH_RECV_FAILURE ETH_SEND_FAILURE
INVALID_FIRMWARE INVALID_CONTEXT_COUNT INVALID_FRAME INVALID_HEF PCIE_NOT_SUPPORTED_ON_PLATFORM
INTERRUPTED_BY_SIGNAL START_VDMA_CHANNEL_FAIL SYNC_VDMA_BUFFER_FAIL STOP_VDMA_CHANNEL_FAIL
CLOSE_VDMA_CHANNEL_FAIL ATR_TABLES_CONF_VALIDATION_FAIL EVENT_CREATE_FAIL READ_EVENT_FAIL
DRIVER_OPERATION_FAILED INVALID_FIRMWARE_MAGIC INVALID_FIRMWARE_CODE_SIZE
INVALID_KEY_CERTIFICATE_SIZE INVALID_CONTENT_CERTIFICATE_SIZE MISMATCHING_FIRMWARE_BUFFER_SIZES
INVALID_FIRMWARE_CPU_ID CONTROL_RESPONSE_MD5_MISMATCH GET_CONTROL_RESPONSE_FAIL
GET_D2H_EVENT_MESSAGE_FAIL MUTEX_INIT_FAIL OUT_OF_DESCRIPTORS UNSUPPORTED_OPCODE
USER_MODE_RATE_LIMITER_NOT_SUPPORTED RATE_LIMIT_MAXIMUM_BANDWIDTH_EXCEEDED
ANSI_TO_UTF16_CONVERSION_FAILED UTF16_TO_ANSI_CONVERSION_FAILED
UNEXPECTED_INTERFACE_INFO_FAILURE UNEXPECTED_ARP_TABLE_FAILURE MAC_ADDRESS_NOT_FOUND
NO_IPV4_INTERFACES_FOUND SHUTDOWN_EVENT_SIGNALED THREAD_ALREADY_ACTIVATED THREAD_NOT_ACTIVATED
THREAD_NOT_JOINABLE NOT_FOUND COMMUNICATION_CLOSED STREAM_ABORT DRIVER_NOT_INSTALLED
NOT_AVAILABLE TRAFFIC_CONTROL_FAILURE INVALID_SECOND_STAGE INVALID_PIPELINE
NETWORK_GROUP_NOT_ACTIVATED VSTREAM_PIPELINE_NOT_ACTIVATED OUT_OF_FW_MEMORY STREAM_NOT_ACTIVATED
DEVICE_IN_USE OUT_OF_PHYSICAL_DEVICES INVALID_DEVICE_ARCHITECTURE INVALID_DRIVER_VERSION
RPC_FAILED INVALID_SERVICE_VERSION NOT_SUPPORTED NMS_BURST_INVALID_DATA OUT_OF_HOST_CMA_MEMORY
QUEUE_IS_FULL DMA_MAPPING_ALREADY_EXISTS CANT_MEET_BUFFER_REQUIREMENTS DRIVER_INVALID_RESPONSE
DRIVER_INVALID_IOCTL DRIVER_TIMEOUT DRIVER_INTERRUPTED CONNECTION_REFUSED DRIVER_WAIT_CANCELED
HEF_FILE_CORRUPTED HEF_NOT_SUPPORTED HEF_NOT_COMPATIBLE_WITH_DEVICE INVALID_HEF_USE
OPERATION_ABORTED DEVICE_NOT_CONNECTED DEVICE_TEMPORARILY_UNAVAILABLE
""".split()  # noqa: SIM905 - a list of strings would be four times as long
STATUSES = [(number, f"HAILO_{name}") for number, name in enumerate(NAMES) if number]
OLDER = [(36, "HAILO_DRIVER_FAIL"), (64, "HAILO_PCIE_DRIVER_NOT_INSTALLED"),
         (62, "HAILO_STREAM_ABORTED_BY_HW"), (34, "HAILO_CONTROL_EVENT_CREATE_FAIL")]  # fmt: skip


def told(line: str) -> set[tuple[str, str]]:
    return {(one.id, one.severity) for one in read_log([line]).findings()}


def test_the_headers_have_97_statuses_besides_success() -> None:
    assert len(STATUSES) == 97


@pytest.mark.parametrize(("number", "name"), STATUSES + OLDER)
def test_a_status_is_explained_by_its_name_and_its_number(number: int, name: str) -> None:
    by_name = told(f"[HailoRT] [error] CHECK_SUCCESS failed with status={name}({number})")
    by_wrapper = told(f"HailoRTException: libhailort failed with error: {number} ({name})")
    assert len(by_name) == 1
    assert by_name == by_wrapper
    ((found, severity),) = by_name
    assert found != "U01"
    assert severity in {"fatal", "possible"}
    assert meaning_of(name) is not None
    if (number, name) not in OLDER:
        assert told(f"_pyhailort.HailoRTStatusException: {number}") == by_name


@pytest.mark.parametrize(("number", "name"), STATUSES)
def test_what_is_said_of_a_status_holds_its_name_its_meaning_and_both_lines(
    number: int, name: str
) -> None:
    log = read_log([f"[HailoRT] [error] CHECK failed with status={name}({number})"])
    (finding,) = log.findings()
    assert log.ran().stage in {"run", "ship"}
    if finding.id.startswith("T"):
        meaning = meaning_of(name)
        assert meaning is not None
        assert f"{name} ({number}): {meaning[1]}" in finding.cause
        assert "stopped answering" not in finding.cause


def test_success_is_no_failure() -> None:
    assert told("status=HAILO_SUCCESS(0)") == set()


def test_the_first_status_of_a_chain_is_the_cause_and_internal_failure_says_nothing() -> None:
    found = read_log(
        [
            "[HailoRT] [error] CHECK_SUCCESS failed with status=HAILO_INTERNAL_FAILURE(8)",
            "[HailoRT] [error] CHECK_SUCCESS failed with status=HAILO_UNSUPPORTED_FW_VERSION(16)",
            "[HailoRT] [error] CHECK_SUCCESS failed with status=HAILO_STREAM_ABORT(63)",
        ]
    ).findings()
    assert [one.id for one in found] == ["T09"]
