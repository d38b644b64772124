"""Files that hold a network, whose headers lie: safetensors, Keras, TFLite, zip archives, logs."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import struct
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("forks processes, and Windows has no fork", allow_module_level=True)

from ..unit.cli.bounded import Ended, run_bounded
from .conftest import Tally

RAW = "\x1b\x07\u202e\u2066\x00\x9b"


def held(ended: Ended) -> bool:
    """Whether a command ended in words, in bounds."""
    text = ended.out + ended.err
    plain = ended.code in (0, 1, 2, 6) and "Traceback" not in text
    return plain and ended.megabytes < 900 and len(text) < 500_000 and not any(map(text.count, RAW))


# --- safetensors ---------------------------------------------------------------------------------


def tensors(header: object, body: bytes = bytes(64), length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def entry(**change: object) -> dict[str, object]:
    return {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16], **change}


SAFETENSORS: dict[str, Callable[[], bytes]] = {
    "a length of all": lambda: tensors({"w": entry()}, length=(1 << 64) - 1),
    "a length of none": lambda: tensors({"w": entry()}, length=0),
    "a length behind the end": lambda: tensors({"w": entry()}, length=1 << 20),
    "a length that cuts": lambda: tensors({"w": entry()}, length=9),
    "eight bytes": lambda: bytes(8),
    "three bytes": lambda: b"abc",
    "overlapping": lambda: tensors({"a": entry(), "b": entry(data_offsets=[8, 24])}),
    "negative offsets": lambda: tensors({"a": entry(data_offsets=[-16, 0])}),
    "offsets backwards": lambda: tensors({"a": entry(data_offsets=[16, 0])}),
    "offsets of one": lambda: tensors({"a": entry(data_offsets=[0])}),
    "offsets that are texts": lambda: tensors({"a": entry(data_offsets=["a", "b"])}),
    "offsets of both kinds": lambda: tensors({"a": entry(data_offsets=["a"]), "b": entry()}),
    "no offsets": lambda: tensors({"a": {"dtype": "F32", "shape": [1]}}),
    "a side without end": lambda: tensors(b'{"a":{"dtype":"F32","shape":[Infinity],'
                                          b'"data_offsets":[0,4]}}'),
    "a side of 1e999": lambda: tensors(b'{"a":{"dtype":"F32","shape":[1e999],'
                                       b'"data_offsets":[0,4]}}'),
    "a side of many digits": lambda: tensors(b'{"a":{"dtype":"F32","shape":[' + b"9" * 5000
                                             + b'],"data_offsets":[0,4]}}'),
    "sides whose product has many digits": lambda: tensors({"a": entry(shape=[10**18] * 400)}),
    "a million sides": lambda: tensors({"a": entry(shape=[3] * 1_000_000)}),
    "negative sides": lambda: tensors({"a": entry(shape=[-2, 2])}),
    "sides that are texts": lambda: tensors({"a": entry(shape=["7" * 4000])}),
    "a shape that is a text": lambda: tensors({"a": entry(shape="123")}),
    "deep": lambda: tensors(b'{"a":' * 50_000),
    "deep brackets": lambda: tensors(b"[" * 100_000),
    "a list": lambda: tensors([entry()]),
    "a number": lambda: tensors(b"7"),
    "the same name twice": lambda: tensors(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
                                           b'"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}'),
    "names that move the cursor": lambda: tensors({"\x1b[2J\u202e": entry(dtype="\x1b]0;x\x07")}),
    "facts that are no texts": lambda: tensors({"__metadata__": [1, 2], "a": entry()}),
    "facts that are a number": lambda: tensors({"__metadata__": 7, "a": entry()}),
    "a thousand types": lambda: tensors({f"t{n}": entry(dtype=f"T{n}" * 50) for n in range(1000)}),
    "ten thousand tensors": lambda: tensors({f"t{n}": entry() for n in range(10_000)}),
}  # fmt: skip


@pytest.mark.parametrize("name", SAFETENSORS)
def test_safetensors_with_hostile_headers_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tally: Tally, name: str
) -> None:
    from orchestrator.project.survey.weights import read_weights

    monkeypatch.chdir(tmp_path)
    path = tmp_path / "net.safetensors"
    path.write_bytes(SAFETENSORS[name]())
    for argv in (["inspect", path.name], ["inspect", path.name, "--json"]):
        ended = run_bounded(argv)
        tally.held(f"{argv}: {ended.code} {ended.megabytes} {ended.err[-400:]}", held(ended))
    found = read_weights(path)
    sides = [side for shape in found.shapes.values() for side in shape]
    tally.held(f"survey {sides[:3]}", all(0 <= side < 1 << 63 for side in sides))


# --- TFLite --------------------------------------------------------------------------------------


class Backwards:
    """Writes a FlatBuffer from its end: places count from there, and what is lent comes first."""

    def __init__(self) -> None:
        self.data = b""

    def put(self, *parts: bytes) -> int:
        self.data = b"".join(parts) + self.data
        return len(self.data)

    def vector(self, values: bytes, length: int) -> int:
        return self.put(struct.pack("<I", length), values)

    def tables(self, one: int, count: int) -> int:
        """Write a list in which one table stands so many times."""
        first = len(self.data) + 4 * count
        places = (first - 4 * number - one for number in range(count))
        return self.put(struct.pack(f"<{count + 1}I", count, *places))

    def table(self, fields: dict[int, int]) -> int:
        """Write a table whose fields lead to what was written, by number of the field."""
        size = 4 + 4 * len(fields)
        end = len(self.data) + size
        words = [end - 4 - 4 * at - place for at, place in enumerate(fields.values())]
        offsets = [0] * (max(fields) + 1)
        for at, field in enumerate(fields):
            offsets[field] = 4 + 4 * at
        head = struct.pack(f"<{2 + len(offsets)}H", 4 + 2 * len(offsets), size, *offsets)
        self.put(struct.pack(f"<i{len(words)}I", len(head), *words))
        here = len(self.data)
        self.put(head)
        return here


def wide_tflite(count: int, sides: int, name: int, inputs: int = 1) -> bytes:
    """Write a network of many tensors that are all one, with many sides and a long name."""
    file = Backwards()
    shape = file.vector(struct.pack(f"<{sides}i", *[1] * sides), sides)
    label = file.vector(b"n" * name, name)
    tensor = file.table({0: shape, 3: label})
    ends = [file.vector(bytes(4 * number), number) for number in (inputs, 1, 1)]
    graph = file.table({0: file.tables(tensor, count), 1: ends[0], 2: ends[1], 3: ends[2]})
    model = file.table({2: file.tables(graph, 1)})
    return struct.pack("<I", len(file.data) + 8 - model) + b"TFL3" + file.data


TFLITES: dict[str, Callable[[], bytes]] = {
    "a million tensors of a million sides": lambda: wide_tflite(1_000_000, 1_000_000, 4),
    "a million tensors of a long name": lambda: wide_tflite(500_000, 4, 1_000_000),
    "a million inputs": lambda: wide_tflite(1, 4, 4, 1_000_000),
    "many inputs of many sides": lambda: wide_tflite(60_000, 64, 1000, 256),
    "a long name": lambda: wide_tflite(1, 4, 500_000),
    "a root behind the end": lambda: struct.pack("<I", 0xFFFFFFF0) + b"TFL3" + bytes(64),
    "a root in itself": lambda: struct.pack("<I", 4) + b"TFL3" + bytes(64),
    "nothing but its mark": lambda: b"\0\0\0\0TFL3",
    "all ones": lambda: struct.pack("<I", 8) + b"TFL3" + b"\xff" * 64,
}


@pytest.mark.parametrize("name", TFLITES)
def test_tflite_files_that_lie_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tally: Tally, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.tflite").write_bytes(TFLITES[name]())
    ended = run_bounded(["inspect", "net.tflite"])
    tally.held(f"{ended.code} {ended.megabytes} {len(ended.out)} {ended.err[-400:]}", held(ended))


def test_a_tflite_file_with_any_word_changed_is_told(tmp_path: Path, tally: Tally) -> None:
    from hefsmith_worker.tflite_file import TfliteError, read_network

    good = wide_tflite(2, 4, 4)
    path = tmp_path / "net.tflite"
    path.write_bytes(good)
    assert [one.shape for one in read_network(path).tensors] == [(1, 1, 1, 1)] * 2
    for at in range(0, len(good) - 3, 4):
        for word in (0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 1, len(good), len(good) - 1):
            path.write_bytes(good[:at] + struct.pack("<I", word) + good[at + 4 :])
            try:
                read_network(path)
            except TfliteError:
                pass
            except Exception as error:
                tally.held(f"{at} {word:x} {error!r}", False)
            tally.held("told", True)


# --- zip archives --------------------------------------------------------------------------------


def packed(*members: tuple[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with (
        warnings.catch_warnings(action="ignore"),
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name, content in members:
            archive.writestr(name, content)
    return stream.getvalue()


def patched(data: bytes, mark: bytes, at: int, value: bytes) -> bytes:
    place = data.rindex(mark) + at
    return data[:place] + value + data[place + len(value) :]


CONFIG = json.dumps({"class_name": "Functional", "config": {"layers": []}}).encode()
WHOLE = (("config.json", CONFIG), ("metadata.json", b'{"keras_version": "3.0.0"}'))


LAYERS = (
    b'{"config":{"layers":["a",7,{"class_name":"InputLayer","config":'
    b'{"batch_shape":["\\u001b[2J",{}],"name":["\\u202e"]}}]}}'
)


def zip64(size: int) -> bytes:
    """Claim by an extra field that a member is so long."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        info = zipfile.ZipInfo("config.json")
        info.extra = struct.pack("<HHQQQ", 1, 24, size, size, 1 << 62)
        archive.writestr(info, CONFIG)
        archive.writestr(*WHOLE[1])
    data = bytearray(stream.getvalue())
    at = data.index(b"PK\x01\x02")
    data[at + 20 : at + 28] = b"\xff" * 8
    data[at + 42 : at + 46] = b"\xff" * 4
    return bytes(data)


ZIPS: dict[str, Callable[[], bytes]] = {
    "a configuration of spaces": lambda: packed(("config.json", b" " * (80 << 20)), WHOLE[1]),
    "deep JSON": lambda: packed(("config.json", b"[" * 1_000_000), WHOLE[1]),
    "JSON of many empty lists": lambda: packed(
        ("config.json", b'{"a":[' + b"[]," * 1_000_000 + b"[]]}"), WHOLE[1]
    ),
    "a configuration that is a list": lambda: packed(("config.json", b"[]"), WHOLE[1]),
    "layers that are texts": lambda: packed(
        ("config.json", LAYERS), WHOLE[1]),
    "two configurations": lambda: packed(("config.json", b"[]"), *WHOLE),
    "a central directory behind the end": lambda: patched(
        packed(*WHOLE), b"PK\x05\x06", 16, b"\xff\xff\xff\x7f"),
    "a directory of all": lambda: patched(packed(*WHOLE), b"PK\x05\x06", 12, b"\xff\xff\xff\xff"),
    "65,535 members": lambda: patched(packed(*WHOLE), b"PK\x05\x06", 8, b"\xff\xff\xff\xff"),
    "a method that is none": lambda: patched(packed(*WHOLE[::-1]), b"PK\x01\x02", 10, b"\x63\0"),
    "zip64 of all": lambda: zip64((1 << 64) - 1),
    "zip64 of half": lambda: zip64(1 << 40),
    "members over each other": lambda: patched(
        packed(*WHOLE[::-1]), b"PK\x01\x02", 42, b"\0\0\0\0"),
    "encrypted": lambda: patched(packed(*WHOLE[::-1]), b"PK\x01\x02", 8, b"\x01\0"),
    "10,000 members": lambda: packed(*((f"a{n}", b"") for n in range(10_000)), *WHOLE),
    "only its end": lambda: b"PK\x05\x06" + bytes(18),
    "an archive in an archive": lambda: packed(("config.json", packed(*WHOLE)), WHOLE[1]),
}  # fmt: skip


@pytest.mark.parametrize("name", ZIPS)
@pytest.mark.parametrize("suffix", [".keras", ".pt", ".har"])
def test_archives_that_lie_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tally: Tally, name: str, suffix: str
) -> None:
    from orchestrator.project.survey.weights import read_weights

    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"net{suffix}"
    path.write_bytes(ZIPS[name]())
    ended = run_bounded(["inspect", path.name])
    tally.held(f"{ended.code} {ended.megabytes} {ended.err[-400:]}", held(ended))
    if suffix == ".pt":
        tally.held("survey", not read_weights(path).shapes)


# --- logs ----------------------------------------------------------------------------------------

LOGS: dict[str, Callable[[], bytes]] = {
    "gzip of many zeros": lambda: gzip.compress(bytes(1 << 26)),
    "bzip2 of empty lines": lambda: bz2.compress(b"\n" * (1 << 20)) * 8,
    "xz of a line": lambda: lzma.compress(b"x" * (1 << 26)),
    "gzip of a line and a bomb": lambda: gzip.compress(b"[error] x\n" + b"a" * (1 << 26)),
    "gzip that is cut": lambda: gzip.compress(b"[error] x\n" * 1000)[:-20],
    "a line of 50 MB": lambda: b"x" * (50 << 20),
    "escapes": lambda: b"\x1b]0;owned\x07\x1b[2J[error] \x1b[31mfailed\xe2\x80\xae\n" * 100,
    "carriage returns": lambda: b"a\r" * 50_000,
    "nulls": lambda: bytes(1 << 20),
    "zip of logs": lambda: packed(("build.log", b"[error]\n" * 1000), ("../../x", b"")),
}


@pytest.mark.parametrize("name", LOGS)
def test_hostile_logs_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tally: Tally, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("build.log").write_bytes(LOGS[name]())
    ended = run_bounded(["explain", "build.log"])
    tally.held(f"{ended.code} {ended.megabytes} {ended.err[-300:]}", held(ended))
