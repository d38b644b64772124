"""Files made to break a reader: none may crash it, hang it, or eat the memory."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orchestrator.hef import (
    HefCorruptError,
    HefError,
    HefTooLargeError,
    HefUnreadableError,
    examine_hef,
    operations,
    read_hef,
)
from orchestrator.hef.document import examination_document
from orchestrator.hef.source import open_source
from orchestrator.hef.wire import varint
from tests.unit.hef.building import field, legacy, net_flow, pack

if TYPE_CHECKING:
    from pathlib import Path

START = legacy()[0].SerializeToString()


@pytest.mark.parametrize(
    "proto",
    [
        b"\x12\xff\xff\xff\xff\x0f",  # a group of four gigabytes
        b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # of 2**64 bytes
        b"\x0a",  # a tag and nothing after it
        b"\x00\x01",  # field number 0
        b"\x0f\x01",  # wire type 7
        b"\xff" * 30,  # a number that never ends
        b"\x0c",  # the end of a group that never began
        b"\x0b\x14",  # a group that ends as another one
        b"\x09\x01\x02",  # half a number
        b"\x0b" * 4000,  # groups in groups
    ],
)
def test_bytes_that_are_no_protobuf_are_status_91(proto: bytes) -> None:
    for data in (proto, START + proto):
        with pytest.raises(HefCorruptError, match="not valid protobuf") as caught:
            read_hef(pack(data))
        assert (caught.value.code, caught.value.status) == ("hef.proto", 91)


@pytest.mark.slow
def test_every_error_of_a_file_has_its_name(tmp_path: Path) -> None:
    path = tmp_path / "broken.hef"
    for proto in (b"\x0a", b"\xff" * 30, START + b"\x0b" * 4000, field(5, b"") * 100_100):
        path.write_bytes(pack(proto))
        with pytest.raises(HefError, match=r"^broken\.hef: ") as caught:
            read_hef(path)
        with pytest.raises(type(caught.value)) as plain:
            read_hef(path.read_bytes())
        assert caught.value.message == f"broken.hef: {plain.value.message}"
        assert (caught.value.code, caught.value.status, caught.value.offset) == (
            plain.value.code,
            plain.value.status,
            plain.value.offset,
        )


def test_text_that_is_not_utf8_is_status_91() -> None:
    with pytest.raises(HefCorruptError) as caught:
        read_hef(pack(START + field(1, field(3, b"\xff\xfe"))))
    assert caught.value.status == 91


@pytest.mark.parametrize("levels", [99, 100, 101, 5_000, 100_000])
@pytest.mark.parametrize("inside", ["partial groups", "core ops", "muxes"])
def test_nesting_deeper_than_hailort_reads_is_refused(levels: int, inside: str) -> None:
    # the messages from the outermost in, then the two that repeat
    outer, repeated = {
        "partial groups": ((2,), (7, 1)),
        "core ops": ((2, 8, 4), (7, 1)),
        "muxes": ((2, 3, 3, 2, 4), (5, 2)),
    }[inside]
    tags = [*outer, *(repeated[level % 2] for level in range(levels - len(outer)))]
    examination = examine_hef(pack(_nested(tags)))
    is_too_deep = any("nesting" in problem.message for problem in examination.problems)
    assert is_too_deep == (levels > 100), examination.problems


def _nested(tags: list[int]) -> bytes:
    """Messages in messages, by their field numbers from the outermost in."""
    parts: list[bytes] = []
    size = 0
    for tag in reversed(tags):
        start = varint(tag << 3 | 2) + varint(size)
        parts.append(start)
        size += len(start)
    return b"".join(reversed(parts))


@pytest.mark.parametrize(
    ("proto", "what"),
    [
        (field(5, b"") * 100_100, "fields|messages"),
        (field(2, b"") * 100_100, "fields|messages"),
        (field(1, field(3, b"x" * (5 << 20))), "bytes of names"),
        (field(2, field(3, field(3, b"\x12\x00" * 100_100))), "fields|messages"),
        (field(2, field(3, field(2, b"\x12\x00" * 10_100))), "actions"),
        (field(2, field(3, field(2, b"") * 100_100)), "operations"),
        (field(2, field(8, field(5, field(7, field(4, field(2, b"\x01" * (2 << 20))))))), "lists"),
    ],
)
def test_bombs_are_refused_in_moments(
    proto: bytes, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the true limits are met in the test of memory below
    monkeypatch.setattr(operations, "MAX_ACTIONS", 10_000)
    monkeypatch.setattr(operations, "MAX_OPERATIONS", 1_000)
    start = time.process_time()
    with pytest.raises(HefTooLargeError, match=what) as caught:
        read_hef(pack(proto))
    assert caught.value.status is None
    assert time.process_time() - start < 10


def test_thousands_of_layers_are_refused() -> None:
    message, group = legacy()
    layers = group.contexts[0].metadata.layers
    for index in range(2_500):
        layer = layers.add()
        layer.CopyFrom(layers[0])
        layer.info.name = f"net/{index}"
    with pytest.raises(HefTooLargeError, match="inputs and outputs"):
        read_hef(pack(message.SerializeToString()))


def test_thousands_of_variants_are_refused() -> None:
    message, _, core = net_flow(arch=3)
    for bitmap in range(65):
        core.partials.add().layout.bitmap = bitmap
    with pytest.raises(HefTooLargeError, match="variants"):
        read_hef(pack(message.SerializeToString()))


def test_thousands_of_memory_layers_with_one_address_are_judged_in_moments() -> None:
    message, group = legacy()
    layers = group.contexts[0].metadata.layers
    for direction in (0, 1) * 5_000:
        layer = layers.add(direction=direction)
        layer.info.name = "net/memory"
        layer.info.base.data_bytes = 1
        layer.switch.connection = 2
        layer.switch.connected.add()
    start = time.process_time()
    assert examine_hef(pack(message.SerializeToString())).vendor_status == 26
    assert time.process_time() - start < 10


def test_thousands_of_networks_are_refused_and_hundreds_share_what_they_list() -> None:
    message, group = legacy(optional=(8, 11))
    layers = group.contexts[0].metadata.layers
    for index in range(1_500):
        layer = layers.add(direction=1)
        layer.CopyFrom(layers[1])
        layer.info.name = f"net/{index}"
        group.sorted_outputs.append(layer.info.name)
    group.networks.extend(["net"] * 256)
    start = time.process_time()
    found = read_hef(pack(message.SerializeToString())).network_groups[0]
    assert len(found.views) == 256
    assert found.views[0].outputs[7] is found.views[255].outputs[7] is found.outputs[7]
    assert time.process_time() - start < 10
    group.networks.append("net")
    with pytest.raises(HefTooLargeError, match="networks"):
        read_hef(pack(message.SerializeToString()))


def test_numbers_that_are_none_do_not_reach_json() -> None:
    message, group, _ = net_flow(("net/a", (4, 4, 8)))
    layer = group.ops[0].core_op.contexts[0].metadata.layers[1].info
    layer.numeric.scale, layer.numeric.zero_point = float("nan"), float("inf")
    group.metadata.bottleneck_fps = float("nan")
    examination = examine_hef(pack(message.SerializeToString()))
    assert not examination.problems
    document = examination_document(examination)
    output = document["network_groups"][0]["outputs"][0]
    assert output["quantization"]["scale"] is None
    assert output["quantization"]["zero_point"] is None


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=400))
@example(b"")
@example(b"\x01HEF")
def test_any_bytes_give_an_answer(data: bytes) -> None:
    for file in (data, b"\x01HEF" + data, pack(data), pack(START + data, 3)):
        examination = examine_hef(file)
        assert examination.problems or examination.hef is not None
        try:
            read_hef(file, verify=False)
        except HefError as error:
            assert error.code.startswith("hef")


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_any_change_inside_the_metadata_gives_an_answer(data: st.DataObject) -> None:
    proto = bytearray(START)
    for _ in range(data.draw(st.integers(1, 4))):
        proto[data.draw(st.integers(0, len(proto) - 1))] = data.draw(st.integers(0, 255))
    examination = examine_hef(pack(bytes(proto)))
    assert examination.hef is not None or examination.problems
    assert all(problem.message.isprintable() for problem in examination.problems)


#: A process of its own reads a file and says by how much its memory grew.
_MEASURE = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    import google.protobuf.message, google.protobuf.message_factory, xxhash
    from orchestrator.hef import HefError, examine_hef
    import orchestrator.hef.groups

    def peak():
        # Not ru_maxrss: a program inherits that of what it was forked from.
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0])

    before = peak()
    try:
        examine_hef(Path(sys.argv[1]))
    except HefError as error:
        print(error.code, file=sys.stderr)
    print(peak() - before)
    """
)


def grown(path: Path) -> int:
    run = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(path)], capture_output=True, text=True, check=True
    )
    return int(run.stdout) * 1024


@pytest.mark.parametrize(
    "proto",
    [
        pytest.param(field(3, b"\x00" * (24 << 20)), id="mapping"),
        pytest.param(field(2, field(3, field(2, b"\x12\x00" * 1_000_100))), id="actions"),
        pytest.param(field(2, field(3, field(2, b"") * 100_100)), id="operations"),
        pytest.param(field(2, b"") * 100_100, id="groups"),
        pytest.param(field(2, field(3, field(3, b"\x12\x00" * 100_100))), id="layers"),
        pytest.param(field(2, field(4, b"x") * 300_100), id="names"),
        pytest.param(field(99, b"y" * (32 << 20)), id="unknown"),
        pytest.param(field(1, field(3, b"z" * (32 << 20))), id="text"),
    ],
)
@pytest.mark.slow
def test_memory_stays_below_twice_the_metadata_and_64_mib(tmp_path: Path, proto: bytes) -> None:
    path = tmp_path / "big.hef"
    path.write_bytes(pack(START + proto, 3))
    assert grown(path) < 2 * len(proto) + (64 << 20)


def test_a_claim_of_gigabytes_costs_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "claim.hef"
    path.write_bytes(b"\x01HEF" + struct.pack(">IIQQIQQQ", 3, 0xFFFFFFFF, *[2**62] * 2, 9, 0, 1, 0))
    assert grown(path) < 16 << 20


@pytest.mark.slow
def test_weights_are_not_kept_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "weights.hef"
    path.write_bytes(pack(START, 3, bytes(100 << 20)))
    assert grown(path) < 32 << 20


def test_a_file_cut_by_another_program_while_it_is_read_does_not_end_us(tmp_path: Path) -> None:
    # A mapped file would: the system answers a look past the new end with SIGBUS.
    path = tmp_path / "cut.onnx"
    path.write_bytes(bytes(200_000))
    with open_source(path) as source:
        window = source.window(source.size)
        assert window[0] == 0
        os.truncate(path, 10)
        with pytest.raises(HefUnreadableError, match="became shorter") as caught:
            window[150_000]
        assert caught.value.hint is not None
        with pytest.raises(HefUnreadableError, match="became shorter"):
            list(source.pieces(0, 100))


@pytest.mark.slow
def test_files_that_change_all_the_time_give_answers_or_plain_errors(tmp_path: Path) -> None:
    data = pack(START + field(3, b"m" * 3_000_000), ccws=b"w" * 3_000_000)
    path = tmp_path / "changing.hef"
    path.write_bytes(data)
    changer = textwrap.dedent(
        """
        import os, sys
        data = open(sys.argv[1], "rb").read()
        print("ready", flush=True)
        while True:
            for size in (0, 20, 5_000, 2_900_000, 5_000_000):
                os.truncate(sys.argv[1], size)
            with open(sys.argv[1], "r+b") as file:
                file.write(data)
        """
    )
    seen = set()
    with subprocess.Popen(
        [sys.executable, "-c", changer, str(path)], stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            end = time.monotonic() + 1.5
            while time.monotonic() < end:
                with suppress(HefUnreadableError):
                    seen.add(tuple(item.code for item in examine_hef(path).problems))
        finally:
            process.kill()
    assert len(seen) > 1
