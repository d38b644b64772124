"""A store that others write: its files are what they are called, and signed where that is asked."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator.errors import ConfigError
from orchestrator.files import sha256_of
from orchestrator.pipeline.cache import CachedFile, CacheEntry, StageCache
from orchestrator.pipeline.digests import DigestMemory, digest_of
from orchestrator.pipeline.sharing.objects import open_objects
from orchestrator.pipeline.sharing.signing import Signing, unsigned_note
from orchestrator.pipeline.sharing.store import RefusedError, SharedStore, UnsignedError

from ..unit.device.making import make_hef
from .conftest import Tally


def silent(_: int) -> None:
    """Nobody wants to know."""


class Maker:
    """Somebody with a cache, and with a key if they want one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cache = StageCache(folder / "cache")
        self.memory = DigestMemory(folder / "digests.json")
        self.count = 0

    def make(self, files: dict[str, bytes]) -> CacheEntry:
        self.count += 1
        work = self.folder / f"work{self.count}"
        records = []
        for name, content in files.items():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).write_bytes(content)
            records.append(CachedFile("any", name, sha256_of(work / name), len(content)))
        why = {"stage": "export", "schema": 1, "number": self.count, "who": self.folder.name}
        entry = CacheEntry(digest_of(why), "export", tuple(records), why=why)
        self.cache.publish(entry, work)
        return entry

    def key(self) -> Path:
        place = self.folder / "key"
        self.folder.mkdir(exist_ok=True)
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "me", "-f", str(place)],
            check=True,
        )
        return place


@pytest.fixture
def share(tmp_path: Path) -> Path:
    (tmp_path / "share").mkdir()
    return tmp_path / "share"


def opened(share: Path, **signing: Path) -> SharedStore:
    return SharedStore(open_objects(str(share), share, writing=True), Signing(**signing))


def sent(maker: Maker, store: SharedStore, files: dict[str, bytes]) -> CacheEntry:
    entry = maker.make(files)
    store.send(store.compare(entry), maker.cache, silent, {})
    return entry


def taken(maker: Maker, store: SharedStore, key: str) -> bool:
    entry = store.look(key)
    assert entry is not None
    store.take(entry, maker.cache, maker.memory, {}, silent)
    return maker.cache.find(key) is not None


# --- contents ------------------------------------------------------------------------------------


def array(value: Any, **more: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, value, **more)
    return stream.getvalue()


def har(**members: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, text in members.items():
            head = tarfile.TarInfo(name.replace("_", "."))
            head.size = len(text)
            tar.addfile(head, io.BytesIO(text.encode()))
    return stream.getvalue()


def network(**change: Any) -> bytes:
    from onnx import TensorProto, helper

    sides = [helper.make_tensor_value_info(one, TensorProto.FLOAT, [1, 4]) for one in "xy"]
    node = helper.make_node("Relu", [change.get("reads", "x")], [change.get("gives", "y")])
    weights = []
    if "outside" in change:
        tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[change["outside"]])
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="model.onnx.data")
        weights.append(tensor)
    graph = helper.make_graph([node], "g", sides[:1], sides[1:], weights)
    return bytes(helper.make_model(graph).SerializeToString())


def packed(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def lying_array() -> bytes:
    content = array(np.zeros(10, np.float32))
    return content.replace(b"(10,)", b"(9999999999,)".ljust(5))[: len(content)]


INDEX: dict[str, Any] = {"inputs": [{"input": "x", "file": "x.npy", "preprocess": {}}]}
HEAD: dict[str, Any] = {"family": None, "task": None, "end_nodes": [], "end_roles": []}
FINE = array(np.zeros((2, 4), np.float32))


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


@pytest.fixture(scope="module")
def hef(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_hef(tmp_path_factory.mktemp("hef") / "a.hef", size=20_000).read_bytes()


def honest(hef: bytes) -> dict[str, dict[str, bytes]]:
    return {
        "hef": {"model.hailo8l.emulated.hef": hef},
        "onnx": {"model.onnx": network()},
        "onnx with data": {
            "model.onnx": network(outside=8),
            "model.onnx.data": bytes(32),
        },
        "har": {"model.har": har(net_hn='{"name": "net", "layers": {"a": {"type": "conv"}}}')},
        "array": {"calibration/x.npy": FINE, "calibration/index.json": as_json(INDEX)},
        "arrays": {"golden/steps/onnx/0.npz": packed(**{"boxes.npy": FINE})},
        "head": {"head.json": as_json(HEAD)},
        "script": {"model.alls": b"normalization1 = normalization([0.0], [255.0])\n"},
    }


def hostile(hef: bytes) -> dict[str, dict[str, bytes]]:
    broken = bytearray(hef)
    broken[len(broken) // 2] ^= 1
    index = {"inputs": [{"input": "x", "file": "../../../etc/passwd", "preprocess": {}}]}
    absent = {"inputs": [{"input": "x", "file": "y.npy", "preprocess": {}}]}
    golden = {"schema": 1, "samples": [], "inputs": [], "outputs": [], "steps": {}}
    return {
        "a script as a HEF": {"model.hailo8l.hef": b"#!/bin/sh\nrm -rf ~\n"},
        "an emulated HEF as a real one": {"model.hailo8l.hef": hef},
        "a HEF with a flipped bit": {"model.hailo8l.emulated.hef": bytes(broken)},
        "a HEF cut off": {"model.hailo8l.emulated.hef": hef[:-9]},
        "an empty HEF": {"model.hailo8l.hef": b""},
        "a HEF as an ONNX file": {"model.onnx": hef},
        "an ONNX file of garbage": {"model.onnx": b"\x08\x07" + b"\xff" * 100},
        "an ONNX file that reads nothing's output": {"model.onnx": network(reads="z")},
        "an ONNX file without its output": {"model.onnx": network(gives="z")},
        "weights elsewhere that did not come": {"model.onnx": network(outside=1000)},
        "weights elsewhere that are too short": {
            "model.onnx": network(outside=1000),
            "model.onnx.data": bytes(10),
        },
        "a picture as a HAR": {"model.har": b"\xff\xd8\xff" + bytes(600)},
        "a HAR of nothing": {"model.har": har(readme="nothing")},
        "a HAR whose network is not JSON": {"model.har": har(net_hn="[" * 3000)},
        "an array of objects": {"calibration/x.npy": array(np.array([print]), allow_pickle=True)},
        "an array that says more than it has": {"calibration/x.npy": lying_array()},
        "an array whose header is code": {
            "calibration/x.npy": b"\x93NUMPY\x01\x00\x20\x00__import__('os').system('id')   \n"
        },
        "an array with a header of a gigabyte": {
            "calibration/x.npy": b"\x93NUMPY\x02\x00\xff\xff\xff\x3f" + bytes(64)
        },
        "an array whose shape overflows": {
            "calibration/x.npy": b"\x93NUMPY\x01\x00\x76\x00"
            + str({"descr": "<f4", "fortran_order": False, "shape": (2**63, 2**63)})
            .encode()
            .ljust(0x76)
        },
        "objects in a zip of arrays": {
            "golden/steps/onnx/0.npz": packed(
                **{"boxes.npy": array(np.array([print]), allow_pickle=True)}
            )
        },
        "a pickle in a zip of arrays": {"golden/steps/onnx/0.npz": packed(boxes=b"cos\nsystem\n")},
        "an index that leads out": {"calibration/index.json": as_json(index)},
        "an index of what did not come": {"calibration/index.json": as_json(absent)},
        "an index of another type": {"calibration/index.json": as_json({"inputs": "all"})},
        "a head of numbers": {"head.json": as_json({**HEAD, "end_nodes": [1, 2]})},
        "a head that is a list": {"head.json": as_json([HEAD])},
        "a head nested too deep": {"head.json": b'{"a":' * 5000 + b"1" + b"}" * 5000},
        "golden samples without any": {"golden/golden.json": as_json(golden)},
        "a parsed network of text": {"parsed.json": as_json({"hn": "all"})},
        "a script of bytes": {"model.alls": b"\x00\x01\xff"},
        "a page as a picture": {"contact-sheet.jpg": b"<html><script>alert(1)</script>"},
        "another program's model": {"model.tflite": b"GGUF" + bytes(60)},
    }


def test_honest_files_of_every_kind_come(tmp_path: Path, share: Path, hef: bytes) -> None:
    alice, bob = Maker(tmp_path / "alice"), Maker(tmp_path / "bob")
    for name, files in honest(hef).items():
        entry = sent(alice, opened(share), files)
        assert taken(bob, opened(share), entry.key), name


def test_a_file_that_is_not_what_it_is_called_is_refused(
    tmp_path: Path, share: Path, hef: bytes, tally: Tally
) -> None:
    mallory, bob = Maker(tmp_path / "mallory"), Maker(tmp_path / "bob")
    for name, files in hostile(hef).items():
        entry = sent(mallory, opened(share), files)
        try:
            came = taken(bob, opened(share), entry.key)
        except RefusedError as error:
            came = not error.message.isprintable() or "is not what its name says" not in str(error)
        tally.held(name, not came and bob.cache.find(entry.key) is None)
    assert not list(bob.cache.incoming.iterdir())
    assert not [one for one in (bob.cache.root / "stages").rglob("*") if one.is_file()]


# --- signatures ----------------------------------------------------------------------------------

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs OpenSSH")
FILES = {"model.onnx.data": b"weights" * 100}


@pytest.fixture
def alice(tmp_path: Path) -> Maker:
    return Maker(tmp_path / "alice")


@pytest.fixture
def signers(tmp_path: Path, alice: Maker) -> Path:
    alice.key()
    place = tmp_path / "allowed_signers"
    place.write_text(f"alice@example.org {(alice.folder / 'key.pub').read_text()}")
    return place


def test_a_signed_entry_comes(tmp_path: Path, share: Path, alice: Maker, signers: Path) -> None:
    entry = sent(alice, opened(share, key=alice.folder / "key", signers=signers), FILES)
    bob = Maker(tmp_path / "bob")
    assert taken(bob, opened(share, signers=signers), entry.key)
    # Who asks for no signature takes it as well.
    assert taken(Maker(tmp_path / "carol"), opened(share), entry.key)


def test_nothing_comes_that_none_of_the_signers_has_signed(
    tmp_path: Path, share: Path, alice: Maker, signers: Path, tally: Tally
) -> None:
    mallory = Maker(tmp_path / "mallory")
    mallory.key()
    strict = opened(share, signers=signers)
    own = opened(share, key=mallory.folder / "key")
    good = sent(alice, opened(share, key=alice.folder / "key"), FILES)
    signature = document_of(share, good)["signature"]

    def change(entry: CacheEntry, **values: Any) -> None:
        place(share, entry).write_text(json.dumps({**document_of(share, entry), **values}))

    unsigned = sent(mallory, opened(share), FILES)
    by_another = sent(mallory, own, FILES)
    borrowed = sent(mallory, opened(share), FILES)
    change(borrowed, signature=signature)
    changed = sent(alice, opened(share, key=alice.folder / "key"), FILES)
    change(changed, result={"opset": 99})
    swapped = sent(alice, opened(share, key=alice.folder / "key"), FILES)
    other = sent(mallory, own, {"model.onnx.data": b"other"})
    change(swapped, files=document_of(share, other)["files"])
    empty = sent(mallory, opened(share), FILES)
    change(empty, signature="")
    number = sent(mallory, opened(share), FILES)
    change(number, signature=7)
    endless = sent(mallory, opened(share), FILES)
    change(endless, signature="A" * 1_000_000)
    purpose = sent(alice, opened(share), FILES)
    elsewhere = subprocess.run(
        ["ssh-keygen", "-q", "-Y", "sign", "-n", "file", "-f", str(alice.folder / "key")],
        input=place(share, purpose).read_bytes(), capture_output=True, check=True,
    ).stdout.decode()  # fmt: skip
    change(purpose, signature=elsewhere)
    for name, entry in {
        "unsigned": unsigned,
        "by another key": by_another,
        "a signature of something else": borrowed,
        "changed after it was signed": changed,
        "other files after it was signed": swapped,
        "an empty signature": empty,
        "a number as a signature": number,
        "an endless signature": endless,
        "signed for another purpose": purpose,
    }.items():
        with pytest.raises(UnsignedError) as caught:
            strict.look(entry.key)
        tally.held(name, caught.value.message.isprintable())
    assert strict.look(good.key) is not None


def test_what_the_list_does_not_know_is_not_sent(
    tmp_path: Path, share: Path, signers: Path
) -> None:
    mallory = Maker(tmp_path / "mallory")
    for more in ({}, {"key": mallory.key()}):
        with pytest.raises(UnsignedError):
            sent(mallory, opened(share, signers=signers, **more), FILES)
    assert not list((share / "v1").glob("entries/*/*"))


def test_an_unsigned_one_is_sent_again_by_whoever_may_sign(
    share: Path, alice: Maker, signers: Path
) -> None:
    entry = sent(alice, opened(share), FILES)
    signing = opened(share, key=alice.folder / "key", signers=signers)
    parcel = signing.compare(entry)
    assert not parcel.needless
    signing.send(parcel, alice.cache, silent, {})
    assert opened(share, signers=signers).look(entry.key) == entry
    assert signing.compare(entry).needless


def test_what_cannot_be_asked_is_an_error_and_no_yes(
    tmp_path: Path, share: Path, alice: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = sent(alice, opened(share, key=alice.key()), FILES)
    with pytest.raises(ConfigError, match="does not exist"):
        opened(share, signers=tmp_path / "none").look(entry.key)
    (tmp_path / "empty").write_text("")
    with pytest.raises(UnsignedError):
        opened(share, signers=tmp_path / "empty").look(entry.key)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        ConfigError, match="ssh-keygen, which makes and checks signatures, is not installed"
    ):
        opened(share, signers=tmp_path / "empty").look(entry.key)


def test_a_key_that_wants_a_passphrase_waits_for_nobody(
    tmp_path: Path, share: Path, alice: Maker
) -> None:
    alice.folder.mkdir()
    key = alice.folder / "key"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", str(key)], check=True
    )
    with pytest.raises(ConfigError, match="does not sign"):
        sent(alice, opened(share, key=key), FILES)
    with pytest.raises(ConfigError, match="does not exist"):
        sent(alice, opened(share, key=tmp_path / "no such key"), FILES)


def test_an_unsigned_store_is_told_of_once(tmp_path: Path, signers: Path) -> None:
    cache = StageCache(tmp_path / "cache")
    assert unsigned_note(Signing(signers=signers), "/share", cache) is None
    assert "nobody vouches" in (unsigned_note(Signing(), "/share", cache) or "")
    assert unsigned_note(Signing(), "/share", cache) is None
    assert unsigned_note(Signing(), "/other", cache) is not None


def place(share: Path, entry: CacheEntry) -> Path:
    return share / "v1" / "entries" / entry.key[:2] / f"{entry.key}.json"


def document_of(share: Path, entry: CacheEntry) -> dict[str, Any]:
    return dict(json.loads(place(share, entry).read_text()))
