"""Attacks that nobody had thought of when the code was written: each command, each input."""

from __future__ import annotations

import io
import json
import os
import shlex
import socket
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from orchestrator.device.deploy import Service, settings_text, unit_text
from orchestrator.device.jobs.bundle.preview import Preview
from orchestrator.device.mdns import decode_answer
from orchestrator.errors import HefsmithError
from orchestrator.report.markdown import plain

from .conftest import Tally

if sys.platform == "win32":
    pytest.skip("forks processes, and Windows has no fork", allow_module_level=True)

from ..unit.cli.bounded import Ended, run_bounded
from ..unit.device.making import make_hef

RAW = "\x1b\x07\u202e\u2066\x00\x9b"
RECIPE = """schema: 1
name: net
source: {onnx: net.onnx}
inputs: {x: [1, 3, 8, 8]}
calibration: {source: pictures, count: 4}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project of a stranger, with a canary beside it that nothing may touch."""
    root = tmp_path / "clone"
    (root / "pictures").mkdir(parents=True)
    (tmp_path / "canary").write_text("untouched")
    monkeypatch.chdir(root)
    for name in ("HEFSMITH_CACHE", "HEFSMITH_DATA", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    (root / "net.onnx").write_bytes(network())
    (root / "model.yaml").write_text(RECIPE)
    (root / "hef.yaml").write_text("schema: 1\n")
    for number in range(4):
        (root / "pictures" / f"{number}.png").write_bytes(png(8, 8))
    yield root
    assert (tmp_path / "canary").read_text() == "untouched"


def held(ended: Ended, tmp_path: Path) -> bool:
    """Whether a command ended in words, in bounds, and did nothing else."""
    quiet = not any(char in ended.out + ended.err for char in RAW)
    untouched = (tmp_path / "canary").read_text() == "untouched"
    plain_end = ended.code is not None and ended.code != 99 and "Traceback" not in ended.err
    return quiet and untouched and plain_end and ended.megabytes < 1500


def network(**change: object) -> bytes:
    from onnx import TensorProto, helper

    sides = [helper.make_tensor_value_info(one, TensorProto.FLOAT, [1, 3, 8, 8]) for one in "xy"]
    node = helper.make_node("Add" if "location" in change else "Relu", ["x"], ["y"])
    node.name = str(change.get("name", "r"))
    weights = []
    if "location" in change:
        node.input.append("w")
        tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1, 3, 8, 8])
        tensor.data_location = TensorProto.EXTERNAL
        for key in ("location", "offset", "length"):
            if key in change:
                tensor.external_data.add(key=key, value=str(change[key]))
        weights.append(tensor)
    graph = helper.make_graph([node], str(change.get("graph", "g")), sides[:1], sides[1:], weights)
    for weight in change.get("weights", ()):  # type: ignore[attr-defined]
        graph.initializer.append(weight)
    model = helper.make_model(graph, producer_name=str(change.get("producer", "p")))
    return bytes(model.SerializeToString())


def png(width: int, height: int, *chunks: tuple[bytes, bytes], row: bytes | None = None) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(row if row is not None else (b"\0" + bytes(3 * width)) * height)
    parts = [chunk(b"IHDR", head), *(chunk(*one) for one in chunks), chunk(b"IDAT", rows)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")


# --- code beside the files -----------------------------------------------------------------------


def test_modules_in_the_folder_of_a_stranger_are_not_imported(
    place: Path, tmp_path: Path, tally: Tally
) -> None:
    # Python puts the working folder first for -m and -c: whoever inspects a file in a clone would
    # run the clone's onnx.py.
    shadow = f"open({str(tmp_path / 'canary')!r}, 'w').write('run')\nraise ImportError\n"
    names = ("hailo_emulator", "onnx", "numpy", "pip", "torch", "PIL", "json", "hefsmith_worker",
             "sitecustomize", "orchestrator", "concurrent")  # fmt: skip
    for name in names:
        (place / f"{name}.py").write_text(shadow)
    for argv in (
        ["inspect", "net.onnx"], ["lint", "."], ["calib", "check", "."], ["calib", "preview", "."],
        ["build", ".", "--dry-run", "--engine", "local"], ["doctor"], ["config", "show"],
    ):  # fmt: skip
        (tmp_path / "canary").write_text("untouched")
        subprocess.run(
            [str(Path(sys.executable).with_name("hef")), *argv],
            capture_output=True, stdin=subprocess.DEVNULL, timeout=120, check=False,
        )  # fmt: skip
        tally.held(" ".join(argv), (tmp_path / "canary").read_text() == "untouched")
    (tmp_path / "canary").write_text("untouched")


def test_every_python_that_we_start_leaves_the_working_folder_out(repository: Path) -> None:
    found = []
    for file in (repository / "orchestrator").rglob("*.py"):
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            starts = 'sys.executable, "-m"' in line or 'sys.executable, "-c"' in line
            if starts:
                found.append(f"{file.name}:{number}")
    assert found == [], 'write sys.executable, "-P", "-m" (or "-I")'


# --- names on the command line and in hef.yaml ---------------------------------------------------

WORDS = (
    "net\n", "\x1b[2Jnet", "\u202eten", "../../etc/passwd", "/etc/passwd", "a" * 5000, "", ".",
    "con", "$(touch ../canary)", "`id`", "%s%n", "--", "net\0", "\udcff", "*", "~root", "net;id",
)  # fmt: skip


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "argv",
    [
        ["build", "WORD", "--dry-run"], ["ship", "WORD"], ["report", "WORD"], ["lint", "WORD"],
        ["bundle", "WORD"], ["history", "WORD"], ["inspect", "WORD"], ["explain", "WORD"],
        ["verify", "WORD"], ["cache", "why", "WORD"], ["device", "add", "WORD", "h"],
        ["device", "add", "pi", "WORD"], ["toolchain", "use", "WORD"], ["trust", "WORD"],
        ["lint", ".", "--arch", "WORD"], ["config", "show", "--engine", "WORD"],
        ["diff", "WORD", "WORD"],
    ],
    ids=lambda argv: " ".join(argv),
)  # fmt: skip
def test_a_word_of_any_kind_is_told(
    place: Path, tmp_path: Path, tally: Tally, argv: list[str]
) -> None:
    for word in WORDS if "\0" not in argv else ():
        if "\0" in word:
            continue  # no system passes it
        ended = run_bounded([one.replace("WORD", word) for one in argv])
        tally.held(f"{word[:30]!r}: {ended.code} {ended.err[-400:]}", held(ended, tmp_path))


@pytest.mark.parametrize(
    "entry",
    [
        "devices: {pi: {host: '-oProxyCommand=touch ../canary'}}",
        "devices: {pi: {host: h, user: '-oProxyCommand=touch ../canary'}}",
        "devices: {pi: {host: 'h; touch ../canary'}}",
        "devices: {pi: {host: '$(touch ../canary)'}}",
        'devices: {pi: {host: "h\\n  ProxyCommand touch ../canary"}}',
        'devices: {pi: {host: "h\\u202e"}}',
        "devices: {pi: {host: h, identity: '-F/etc/passwd'}}",
        "devices: {pi: {host: h, service: 'x; touch ../canary'}}",
        "engines: {e: {address: 'ssh://-oProxyCommand=touch ../canary/x'}}\nengine: e",
        "engines: {e: {address: 'unix:///etc/passwd'}}\nengine: e",
        "engines: {e: {address: 'context:../../x'}}\nengine: e",
        "limits: {memory: '12g --privileged'}",
        "toolchain: '--privileged'",
        "models: ../../..",
        "artifacts: /etc",
        "cache: /etc/hefsmith",
        "signers: /etc/shadow",
        "sign_with: ../canary",
        "store: 'ext::sh -c touch% ../canary'",
    ],
)
def test_a_hostile_hef_yaml_does_nothing(
    place: Path, tmp_path: Path, tally: Tally, entry: str
) -> None:
    (place / "hef.yaml").write_text(f"schema: 1\n{entry}\n")
    for argv in (
        ["build", ".", "--dry-run"], ["device", "list"], ["config", "show"],
        ["ship", "net", "--device", "pi"], ["cache", "info"],
    ):  # fmt: skip
        ended = run_bounded(argv)
        tally.held(f"{argv}: {ended.code} {ended.err[-400:]}", held(ended, tmp_path))
        for line in (ended.out + ended.err).splitlines():
            if "ssh" in line.split():
                words = shlex.split(line[line.index("ssh") :], comments=True)
                wrong = [one for one in words if one.startswith("-oProxy")]
                tally.held(f"a line to paste: {line}", not wrong)


# --- recipes -------------------------------------------------------------------------------------

TEXTS: dict[str, str | bytes] = {
    "a tag that runs": "schema: 1\nname: !!python/object/apply:os.system ['touch ../canary']\n",
    "a tag of a class": "schema: 1\nsource: !!python/name:os.system\n",
    "bytes": "schema: 1\nname: !!binary AAAA\n",
    "a set": "schema: 1\narch: !!set {hailo8l}\n",
    "merging": "a: &a {schema: 1}\n<<: *a\n",
    "a thing in itself": "schema: 1\nsource: &a {onnx: net.onnx, x: *a}\n",
    "laughs": "a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b]\n",
    "a huge number": f"schema: {'9' * 100_000}\n",
    "a huge power": "schema: 1\ncalibration: {count: 1e100000}\n",
    "sixties": f"schema: {'1:' * 5000}1\n",
    "a list as a key": "? [a, b]\n: 1\n",
    "twice": "schema: 1\nschema: 1\nname: a\nname: b\n",
    "UTF-16": "schema: 1\n".encode("utf-16"),
    "another version": "%YAML 9.9\n---\nschema: 1\n",
    "many documents": "---\nschema: 1\n" * 2000,
    "a key of a megabyte": f"{'k' * 1_000_000}: 1\n",
    "lines that are none": "schema: 1\u2028name: x\x85source: {}\n",
    "an escape": 'schema: 1\nname: "\\e[2J\\a"\n',
    "half a character": 'schema: 1\nname: "\\ud800"\n',
    "a date": "schema: 2026-01-01\n",
    "brackets": "schema: 1\nsource: " + "[" * 20_000,
    "a null": "schema: 1\nname: \0\n",
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("file", ["model.yaml", "hef.yaml"])
def test_a_hostile_recipe_is_told(
    place: Path, tmp_path: Path, tally: Tally, name: str, file: str
) -> None:
    text = TEXTS[name]
    (place / file).write_bytes(text if isinstance(text, bytes) else text.encode())
    ended = run_bounded(["build", ".", "--dry-run", "--engine", "local"])
    good = held(ended, tmp_path) and ended.code in (1, 2) and len(ended.err) < 5000
    tally.held(f"{ended.code} {ended.err[-600:]}", good)


# --- networks ------------------------------------------------------------------------------------


def _bomb() -> bytes:
    """Messages in messages, 200,000 deep."""
    content = b""
    for _ in range(3000):
        size = len(content)
        head = bytearray()
        while size > 0x7F:
            head.append(size & 0x7F | 0x80)
            size >>= 7
        content = b"\x3a" + bytes(head) + bytes([size]) + content
    return content


def _wide() -> list[object]:
    from onnx import TensorProto

    return [TensorProto(name="w", data_type=1, dims=[1 << 40, 1 << 40, 1 << 40])]


NETWORKS: dict[str, Callable[[], bytes]] = {
    "an offset behind the end": lambda: network(location="w.bin", offset=1 << 62, length=768),
    "an offset below zero": lambda: network(location="w.bin", offset=-5, length=768),
    "an offset that is none": lambda: network(location="w.bin", offset="zero"),
    "a length of all": lambda: network(location="w.bin", length=1 << 62),
    "weights in a pipe": lambda: network(location="pipe"),
    "weights in a device": lambda: network(location="/dev/zero"),
    "weights behind a link": lambda: network(location="link"),
    "a place with a null": lambda: network(location="a\0b"),
    "a place that is a folder": lambda: network(location="pictures"),
    "a place above": lambda: network(location="../canary"),
    "a name that moves the cursor": lambda: network(name="\x1b[2J\x1b]0;owned\x07", graph="\u202e"),
    "a maker with markup": lambda: network(producer="[bold red]x[/][link=file:///etc/passwd]y"),
    "sides whose product overflows": lambda: network(weights=_wide()),
    "messages in messages": _bomb,
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_hostile_network_is_told(place: Path, tmp_path: Path, tally: Tally, name: str) -> None:
    (place / "net.onnx").write_bytes(NETWORKS[name]())
    (place / "w.bin").write_bytes(bytes(768))
    os.mkfifo(place / "pipe")
    (place / "link").symlink_to("/etc/passwd")
    for argv in (["inspect", "net.onnx"], ["inspect", "net.onnx", "--json"], ["lint", "."],
                 ["build", ".", "--dry-run", "--engine", "local"]):  # fmt: skip
        ended = run_bounded(argv)
        secret = "root:x:" in ended.out + ended.err
        tally.held(f"{argv}: {ended.code} {ended.err[-400:]}", held(ended, tmp_path) and not secret)


# --- archives and pictures -----------------------------------------------------------------------


def _tar(*heads: tuple[str, bytes, str]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, kind, target in heads:
            head = tarfile.TarInfo(name)
            head.type, head.linkname = kind, target
            archive.addfile(head)
    return stream.getvalue()


def _zip(*members: tuple[str, bytes], claim: int | None = None, encrypted: bool = False) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    data = bytearray(stream.getvalue())
    at = data.rindex(b"PK\x01\x02")
    if claim is not None:
        data[at + 24 : at + 28] = struct.pack("<I", claim)
    if encrypted:
        data[at + 8] |= 1
    return bytes(data)


ARCHIVES: dict[str, Callable[[], bytes]] = {
    "a.tar": lambda: _tar(("0.png", tarfile.SYMTYPE, "/etc/passwd")),
    "b.tar": lambda: _tar(("0.png", tarfile.LNKTYPE, "../../canary")),
    "c.tar": lambda: _tar(("0.png", tarfile.CHRTYPE, "")),
    "d.tar": lambda: _tar(("d", tarfile.SYMTYPE, ".."), ("d/canary", tarfile.REGTYPE, "")),
    "e.tar": lambda: _tar(("0.png", tarfile.FIFOTYPE, "")),
    "f.zip": lambda: _zip(("../canary", b"x"), ("0.png", png(8, 8))),
    "g.zip": lambda: _zip(("0.png", png(8, 8)), claim=0xFFFFFFF0),
    "h.zip": lambda: _zip(("0.png", png(8, 8)), encrypted=True),
    "i.zip": lambda: _zip(("a.zip", _zip(("0.png", bytes(50_000_000))))),
    "j.zip": lambda: _zip(("\x1b[2J.png", png(8, 8)), ("\u202egnp.0", b"")),
    "k.zip": lambda: _zip(("0.png", bytes(300_000_000))),
}
EPS = (
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n"
    b"(../canary) (w) file (run) writestring closefile\nshowpage\n%%EOF\n"
)
PICTURES: dict[str, Callable[[], bytes]] = {
    "100,000 by 100,000": lambda: png(100_000, 100_000, row=b"\0"),
    "rows of a gigabyte": lambda: png(8, 8, row=bytes(200_000_000)),
    "a profile that unpacks": lambda: png(8, 8, (b"iCCP", b"x\0\0" + zlib.compress(bytes(10**8)))),
    "a text that unpacks": lambda: png(8, 8, (b"zTXt", b"x\0\0" + zlib.compress(bytes(10**8)))),
    "10,000 texts": lambda: png(8, 8, *[(b"tEXt", b"a\0b" * 20)] * 10_000),
    "PostScript": lambda: EPS,
    "a vector with a script": lambda: b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>",
    "a map of 9,999,999 by 9,999,999": lambda: b"P6 9999999 9999999 255\n" + bytes(100),
    "upside down without end": lambda: (
        b"BM"
        + struct.pack("<IHHIIiiHHI", 99, 0, 0, 54, 40, 1 << 20, -(1 << 20), 1, 24, 0)
        + bytes(30)
    ),
    "a turn that is none": lambda: (
        b"\xff\xd8\xff\xe1\x00\x20Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\3"
        b"\xff\xff\xff\xff\0\x99" + bytes(9)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", [*ARCHIVES, *PICTURES])
def test_hostile_calibration_data_is_told(
    place: Path, tmp_path: Path, tally: Tally, name: str
) -> None:
    if name in ARCHIVES:
        (place / name).write_bytes(ARCHIVES[name]())
        (place / "model.yaml").write_text(RECIPE.replace("source: pictures", f"source: {name}"))
    else:
        (place / "pictures" / "0.png").write_bytes(PICTURES[name]())
    for argv in (["calib", "check", "."], ["calib", "preview", "."]):
        ended = run_bounded(argv)
        tally.held(f"{argv}: {ended.code} {ended.err[-400:]}", held(ended, tmp_path))


# --- HEFs, texts for others to read --------------------------------------------------------------


def test_headers_that_lie_are_told(place: Path, tmp_path: Path, tally: Tally) -> None:
    good = make_hef(tmp_path / "good.hef", size=4000).read_bytes()
    for at in range(0, 64, 4):
        for value in (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"):
            (place / "net.hef").write_bytes(good[:at] + value + good[at + 4 :])
            ended = run_bounded(["inspect", "net.hef"])
            tally.held(f"{at} {value!r}: {ended.code} {ended.err[-200:]}", held(ended, tmp_path))


def test_markdown_shows_names_and_nothing_else(tally: Tally) -> None:
    import markdown

    for text in (
        "<script>alert(1)</script>", "[x](javascript:alert(1))", "![x](http://h/p.png)",
        "a|b\n|---|\n", "`</code><img src=x onerror=alert(1)>`", "<!-- -->", "\\[x](http://h)",
        "http://h/x", "# head", "a\r\nb", "&lt;script&gt;", "[x]: javascript:alert(1)",
    ):  # fmt: skip
        page = f"| a |\n|---|\n| {plain(text)} |\n"
        shown = markdown.markdown(page, extensions=["tables"]).replace("&lt;", "")
        wrong = [one for one in ("<script", "<a ", "<img", "<h1", "<code", "<!--") if one in shown]
        tally.held(f"{text!r}: {shown}", not wrong and shown.count("<td") == 1)


def test_a_unit_runs_what_it_should_and_nothing_else(tally: Tally) -> None:
    for word in (
        "x\nExecStartPre=/bin/touch /tmp/x", '" ; touch x', "%h/.bashrc", "$HOME", "\\x0a", "a\tb",
    ):  # fmt: skip
        try:
            text = unit_text(Service(model="net", arguments=("--camera", word)))
        except HefsmithError:
            tally.held(word, True)
            continue
        lines = [one for one in text.splitlines() if one.startswith("ExecStart")]
        bare = text.replace("%%", "").replace("$$", "").replace("%h/.", "").replace("%t/", "")
        tally.held(word, len(lines) == 1 and "%h" not in bare and "$HOME" not in bare)
    for name, value in (("A", "x\nB=1"), ("A", '"\nB=1'), ("A", "`id`"), ("A", "$(id)")):
        try:
            text = settings_text({name: value})
        except HefsmithError:
            tally.held(value, True)
            continue
        tally.held(value, len(text.splitlines()) == 1 and "\nB=" not in text)
    for model in ("net\n[Service]", "../net", "net@x", "-net", "net %h", ""):
        try:
            unit_text(Service(model=model))
        except (HefsmithError, ValueError):
            tally.held(model, True)
        else:
            tally.held(model, False)


# --- the network ---------------------------------------------------------------------------------


def test_the_page_of_a_camera_gives_nothing_without_its_token(tally: Tally) -> None:
    page = Preview("</title><script>alert(1)</script>", 0, "127.0.0.1", "secret-token")

    def ask(text: bytes) -> bytes:
        answer = b""
        with socket.create_connection(("127.0.0.1", page.port), timeout=10) as link:
            # The page may hang up before it has read all: that is a refusal, not a failure.
            with suppress(OSError):
                link.sendall(text)
                link.shutdown(socket.SHUT_WR)
            with suppress(ConnectionError):
                while (block := link.recv(65536)) and len(answer) <= 1 << 20:
                    answer += block
        return answer

    right = b"?token=secret-token"
    try:
        for path in (b"/", b"/answer", b"/stream", b"/?token=", b"/?token=secret-toke",
                     b"/?token=%00secret-token", b"/?token=x&token=secret-token",
                     b"//evil/answer?token[]=secret-token"):  # fmt: skip
            got = ask(b"GET " + path + b" HTTP/1.1\r\nHost: evil.example\r\n\r\n")
            tally.held(f"{path!r} {got[:60]!r}", b" 200 " not in got.split(b"\r\n")[0])
        for verb in (b"POST", b"PUT", b"DELETE", b"TRACE", b"OPTIONS", b"CONNECT"):
            got = ask(verb + b" /answer" + right + b" HTTP/1.1\r\nHost: h\r\n\r\n")
            tally.held(f"{verb!r}", b" 200 " not in got.split(b"\r\n")[0])
        for path in (b"/../../etc/passwd", b"/..%2f..%2fetc/passwd", b"/stream/../../live.py"):
            got = ask(b"GET " + path + right + b" HTTP/1.1\r\nHost: h\r\n\r\n")
            tally.held(f"{path!r}", b"root:" not in got and b" 404 " in got.split(b"\r\n")[0])
        got = ask(b"GET /" + right + b" HTTP/1.1\r\nHost: h\r\nOrigin: http://evil\r\n\r\n")
        tally.held("a title", b"<script>alert" not in got and b"Access-Control" not in got)
        got = ask(b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n")
        tally.held("a long line", b" 200 " not in got.split(b"\r\n")[0])
        got = ask(b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 5000 + b"\r\n")
        tally.held("many heads", b" 200 " not in got.split(b"\r\n")[0])
        got = ask(b"GET /" + right + b" HTTP/1.1\r\nHost: h\r\n\r\n")
        tally.held("the right token after all that", b" 200 " in got.split(b"\r\n")[0])
    finally:
        page.close()


def test_answers_of_mdns_that_lie_give_nothing(tally: Tally) -> None:
    head = struct.pack("!6H", 0, 0x8400, 0, 1, 0, 0)
    name = b"\x0braspberrypi\x05local\0"
    for title, packet in {
        "a name that points at itself": head + b"\xc0\x0c" + struct.pack("!2HIH", 1, 1, 1, 4),
        "an address that is cut": head + name + struct.pack("!2HIH", 1, 1, 1, 4) + b"\1",
        "a length behind the end": head + name + struct.pack("!2HIH", 1, 1, 1, 60000) + bytes(4),
        "65,535 answers": struct.pack("!6H", 0, 0x8400, 0, 65535, 65535, 65535),
        "another's name": head
        + b"\x04evil\x05local\0"
        + struct.pack("!2HIH", 1, 1, 1, 4)
        + bytes(4),
        "nothing": b"",
        "a pointer forward": head + b"\xc0\xff" + bytes(4),
    }.items():
        tally.held(title, decode_answer(packet, "raspberrypi.local") == [])


def test_json_of_strangers_is_told(place: Path, tmp_path: Path, tally: Tally) -> None:
    make_hef(place / "net.hef", size=4000)
    for text in (
        "[" * 100_000, '{"a":' * 50_000, "9" * 100_000, '"\\ud800"', "NaN", "{}", "[]", "null",
        json.dumps({"_type": "x" * 100_000}), '{"subject": [{"name": "../../canary"}]}', "\ufeff{}",
    ):  # fmt: skip
        (place / "manifest.json").write_text(text, encoding="utf-8")
        ended = run_bounded(["verify", "net.hef", "--manifest", "manifest.json"])
        good = held(ended, tmp_path) and ended.code in (1, 2, 6)
        tally.held(f"{text[:30]!r}: {ended.code} {ended.err[-300:]}", good)


def test_no_error_tells_a_secret_of_an_address(place: Path, tmp_path: Path, tally: Tally) -> None:
    for secret in (
        "https://h/x.zip?X-Amz-Signature=CANARY&a=1", "https://CANARY@h/x", "sftp://me:CANARY@h/x",
        "https://h/x?a=1;token=CANARY", "https://h/x?api_key=CANARY",
    ):  # fmt: skip
        for argv in (
            ["calib", "fetch", secret], ["init", "two", "--onnx", secret], ["inspect", secret],
            ["build", secret], ["cache", "pull", "--from", secret], ["explain", secret],
            ["toolchain", "import", secret], ["build", secret, "--json"], ["verify", secret],
        ):  # fmt: skip
            ended = run_bounded(argv)
            tally.held(f"{argv}: {ended.err[-300:]}", "CANARY" not in ended.out + ended.err)
