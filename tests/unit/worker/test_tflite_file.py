"""TFLite files are read without TensorFlow, and damaged ones never end in a traceback."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest
from hefsmith_worker.tflite_file import TfliteError, read_network

flatbuffers = pytest.importorskip("flatbuffers")


def write(path: Path, *, kind: int = 0, scaled: bool = False, operators: int = 1) -> Path:
    """Write a network of one operation: ``image`` (?, 8, 6, 3) to ``scores`` (1, 4)."""
    made = flatbuffers.Builder(256)

    def vector(numbers: list[int], width: int = 4) -> int:
        made.StartVector(width, len(numbers), 4)
        for number in reversed(numbers):
            made.PrependInt32(number)
        return int(made.EndVector())

    def tables(places: list[int]) -> int:
        made.StartVector(4, len(places), 4)
        for place in reversed(places):
            made.PrependUOffsetTRelative(place)
        return int(made.EndVector())

    def tensor(name: str, shape: list[int], signature: list[int] | None) -> int:
        label, sides = made.CreateString(name), vector(shape)
        open_sides = vector(signature) if signature else 0
        scale = vector([0x3F800000]) if scaled else 0
        made.StartObject(7)
        made.PrependUOffsetTRelativeSlot(2, scale, 0)
        quantisation = made.EndObject()
        made.StartObject(8)
        made.PrependUOffsetTRelativeSlot(0, sides, 0)
        made.PrependUint8Slot(1, kind, 0)
        made.PrependUOffsetTRelativeSlot(3, label, 0)
        made.PrependUOffsetTRelativeSlot(4, quantisation, 0)
        made.PrependUOffsetTRelativeSlot(7, open_sides, 0)
        return int(made.EndObject())

    tensors = tables([tensor("image", [1, 8, 6, 3], [-1, 8, 6, 3]), tensor("scores", [1, 4], None)])
    inputs, outputs = vector([0]), vector([1])
    operations = []
    for _ in range(operators):
        made.StartObject(3)
        operations.append(int(made.EndObject()))
    listed = tables(operations)
    made.StartObject(5)
    for slot, place in enumerate((tensors, inputs, outputs, listed)):
        made.PrependUOffsetTRelativeSlot(slot, place, 0)
    graphs = tables([int(made.EndObject())])
    made.StartObject(5)
    made.PrependUint32Slot(0, 3, 0)
    made.PrependUOffsetTRelativeSlot(2, graphs, 0)
    made.Finish(made.EndObject(), b"TFL3")
    path.write_bytes(bytes(made.Output()))
    return path


def test_inputs_and_outputs_are_read_as_they_are_in_the_file(tmp_path: Path) -> None:
    network = read_network(write(tmp_path / "a.tflite"))
    assert [(one.name, one.shape, one.type) for one in network.inputs] == [
        ("image", (-1, 8, 6, 3), "float32")
    ]
    assert [(one.name, one.shape) for one in network.outputs] == [("scores", (1, 4))]
    assert network.quantised == ()


def test_int8_with_a_scale_is_quantised_and_without_is_not(tmp_path: Path) -> None:
    assert read_network(write(tmp_path / "a.tflite", kind=9, scaled=True)).quantised == (
        "image",
        "scores",
    )
    assert read_network(write(tmp_path / "b.tflite", kind=9)).quantised == ()
    assert read_network(write(tmp_path / "c.tflite", kind=1, scaled=True)).quantised == ()


@pytest.mark.parametrize("content", [b"", b"TFL3", b"\x08\0\0\0TFL3", b"ONNX" * 64, b"\0" * 64])
def test_what_is_no_tflite_file_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.tflite"
    path.write_bytes(content)
    with pytest.raises(TfliteError, match=r"x\.tflite"):
        read_network(path)


def test_a_network_without_operations_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TfliteError, match="no operations"):
        read_network(write(tmp_path / "a.tflite", operators=0))


def test_damaged_files_are_errors_of_our_own(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.tflite").read_bytes()
    chance = random.Random(0)
    path = tmp_path / "b.tflite"
    refused = 0
    for _ in range(400):
        content = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            struct.pack_into(
                "<I",
                content,
                chance.randrange(len(content) - 4),
                chance.choice((0, 2**31, 2**32 - 1, 7)),
            )
        path.write_bytes(content[: chance.randint(8, len(content))])
        try:
            read_network(path)
        except TfliteError:
            refused += 1
    assert refused > 200
