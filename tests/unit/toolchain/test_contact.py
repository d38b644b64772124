"""The contact test: what a compiler is asked, and what is made of its answers."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hefsmith_worker.contract.surface import SDK

from orchestrator import paths
from orchestrator.cli.contact_output import check_output, tell_report
from orchestrator.contact_report import ContactReport, Row, as_text, public, read
from orchestrator.errors import ArtifactError, ConfigError
from orchestrator.toolchain import contact

WORKER = paths.worker_package()


#: What makes the emulator one of the 5.x line.
NEWER = {"HEFSMITH_EMULATED_DFC": "5.2.0"}


def ask(
    *, sdk: Path | None = None, chip: str = "hailo8l", **env: str
) -> tuple[dict[str, contact.Answer], int]:
    """Run the program as in a container; ``sdk`` is a folder with another SDK."""
    program = Path(__file__).resolve().parents[3]
    modules = [sdk, paths.image_context("emulator") / "packages", program, WORKER.parent]
    path = os.pathsep.join(str(one) for one in modules if one is not None)
    done = subprocess.run(
        [sys.executable, "-c", contact.program(), *contact.arguments(chip)],
        env={**os.environ, "PYTHONPATH": path, **env},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return contact.read_answers(done.stdout), done.returncode


def states(rows: tuple[Row, ...]) -> dict[str, str]:
    return {row.check: row.state for row in rows}


# The list of what is used.


def _modules() -> set[str]:
    """Return the vendor's modules that the worker imports, with the names taken from them."""
    found = set()
    for path in WORKER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {one.name for one in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found |= {f"{node.module}:{one.name}" for one in node.names}
    return {name for name in found if name.startswith("hailo")}


def _places() -> dict[str, int]:
    """Return how many arguments calls of the SDK's runner give by place, at most."""
    found: dict[str, int] = {}
    for path in WORKER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and _is_sdk(node.func) and path.name != "contact.py":
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                found[name] = max(found.get(name, 0), len(node.args))
    return found


def _used() -> dict[str, set[str]]:
    """Return the members of the SDK's runner that the worker uses, and their keywords."""
    found: dict[str, set[str]] = {}
    for path in sorted(WORKER.rglob("*.py")):
        if path.name in ("contact.py", "surface.py"):
            continue
        tree = ast.parse(path.read_text())
        for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
            options = _options(function)
            for node in ast.walk(function):
                if isinstance(node, ast.Attribute) and _is_runner(node.value):
                    found.setdefault(node.attr, set())
                if isinstance(node, ast.Call) and _is_sdk(node.func):
                    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                    words = {one.arg for one in node.keywords if one.arg}
                    if any(one.arg is None for one in node.keywords):
                        words |= options
                    found.setdefault(name, set()).update(words)
    return found


def _options(function: ast.FunctionDef) -> set[str]:
    """Return the keys of what a function calls ``options``."""
    keys: list[ast.expr | None] = []
    for node in ast.walk(function):
        targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
        for target in targets:
            if isinstance(target, ast.Name) and target.id == "options":
                keys += getattr(node.value, "keys", [])
            if isinstance(target, ast.Subscript) and getattr(target.value, "id", "") == "options":
                keys.append(target.slice)
    return {str(key.value) for key in keys if isinstance(key, ast.Constant)}


def _is_runner(node: ast.expr) -> bool:
    return getattr(node, "attr", getattr(node, "id", "")) in ("runner", "_runner")


def _is_sdk(node: ast.expr) -> bool:
    if isinstance(node, ast.Name):
        return node.id == "ClientRunner"
    return isinstance(node, ast.Attribute) and _is_runner(node.value)


@pytest.mark.slow
def test_everything_that_the_worker_uses_is_looked_up() -> None:
    listed = {use.name.rpartition(".")[2]: set(use.keywords) for use in SDK}
    used = _used()
    assert len(used) >= 9, "the search finds nothing"
    for name, words in used.items():
        assert name in listed, f"{name} is used, and not in contract/surface.py"
        assert words <= listed[name], name
    assert used["translate_onnx_model"] == listed["translate_onnx_model"]


def test_nothing_is_looked_up_that_the_worker_does_not_use() -> None:
    text = "".join(
        path.read_text()
        for path in WORKER.rglob("*.py")
        if path.name not in ("contact.py", "surface.py")
    )
    for use in SDK:
        assert use.name.rpartition(".")[2] in text, use.name
        for word in use.keywords:
            assert word in text, word


@pytest.mark.slow
def test_every_module_and_every_argument_by_place_is_looked_up() -> None:
    listed = {use.name for use in SDK}
    modules = _modules()
    assert "hailo_sdk_client:ClientRunner" in modules, "the search finds nothing"
    for name in modules:
        module, _, member = name.partition(":")
        assert module == "hailo_sdk_client", "the contact test looks into that module only"
        assert not member or member in {one.partition(".")[0] for one in listed}, name
    places = {use.name.rpartition(".")[2]: use.positional for use in SDK}
    found = _places()
    assert found["translate_onnx_model"] == 2
    for name, count in found.items():
        assert places[name] == count, name


# The program.


@pytest.mark.slow
def test_our_stand_in_answers_as_expected() -> None:
    answers, code = ask()
    assert code == 0
    rows = contact.judge(answers)
    assert [row for row in rows if row.state != "ok"] == [
        Row(check="NMS of yolov6 on 5.x", state="not asked", found="")
    ]


@pytest.mark.slow
def test_three_quirks_are_found_and_told() -> None:
    quirks = "numpy-hn,bias-correction-fails,compiled-not-inferred"
    answers, _ = ask(HEFSMITH_EMULATED_QUIRKS=quirks)
    rows = {row.check: row for row in contact.judge(answers)}
    assert rows["HN is plain JSON"].found.startswith("no (")
    assert rows["level 1 (bias correction)"].state == "warning"
    assert "level: 0" in rows["level 1 (bias correction)"].fix
    assert rows["compiled HAR still infers"].found.startswith("no (")
    assert not any(row.state == "error" for row in rows.values())


@pytest.mark.parametrize(
    ("quirk", "check", "found"),
    [
        ("flat-rows", "input (1, F) in the HN", "[[-1, 1, 1, 16]]"),
        ("flat-inputs", "input (1, F) in the HN", "[[-1, 1, 16]]"),
        ("outer-activation", "activation in the HN", "layer"),
        ("four-logits-arguments", "logits_layer, 3 arguments", "no; four are always given"),
        ("no-home", "read-only root, home folder", ".hailo"),
    ],
)
@pytest.mark.slow
def test_each_quirk_has_its_row(quirk: str, check: str, found: str, tmp_path: Path) -> None:
    answers, _ = ask(HEFSMITH_EMULATED_QUIRKS=quirk, HOME=str(tmp_path))
    rows = {row.check: row for row in contact.judge(answers)}
    assert found in rows[check].found
    assert rows[check].state == "ok"


@pytest.mark.slow
def test_layers_without_the_names_of_nodes_are_a_warning() -> None:
    answers, _ = ask(HEFSMITH_EMULATED_QUIRKS="renamed-layers")
    rows = {row.check: row for row in contact.judge(answers)}
    told = {name for name, row in rows.items() if row.state == "warning"}
    assert told == {"HN names ONNX nodes", "the same, simplified"}
    assert all("hef inspect" in rows[name].fix for name in told)


@pytest.mark.slow
def test_a_chip_of_the_newer_line_is_asked_for_what_only_it_leaves_open() -> None:
    answers, _ = ask(chip="hailo10h", HEFSMITH_EMULATED_QUIRKS="strict-nms", **NEWER)
    rows = {row.check: row for row in contact.judge(answers)}
    for name in ("ssd, no background", "yolov8, 8 bins", "yolov6 on 5.x"):
        assert rows[f"NMS of {name}"].found.startswith("no (NMSConfigPostprocessException")
    answers, _ = ask(chip="hailo10h", **NEWER)
    rows = {row.check: row for row in contact.judge(answers)}
    assert {row.found for name, row in rows.items() if name.startswith("NMS")} == {"yes"}


def _sdk(folder: Path, text: str) -> Path:
    package = folder / "hailo_sdk_client"
    package.mkdir()
    (package / "__init__.py").write_text(text)
    return folder


_LACKING = """
__version__ = "9.9"
class InferenceContext:
    SDK_NATIVE = SDK_FP_OPTIMIZED = SDK_QUANTIZED = 1
class ClientRunner:
    def __init__(self, hw_arch=None, har=None): pass
    def translate_onnx_model(self, model, net_name, start_node_names=None): pass
    def translate_tf_model(self, model, net_name, **options): pass
    def get_hn_dict(self, why): pass
    def load_model_script(self, script): pass
    def optimize(self, data): pass
    def compile(self): pass
    def infer_context(self, context): pass
    def infer(self, context, data): pass
    def save_har(self): pass
"""


@pytest.mark.slow
def test_a_compiler_that_lacks_a_name_or_a_keyword(tmp_path: Path) -> None:
    answers, _ = ask(sdk=_sdk(tmp_path, _LACKING))
    rows = {row.check: row for row in contact.judge(answers)}
    names = rows["names and keywords"]
    assert names.state == "error"
    assert "optimize_full_precision does not exist" in names.found
    assert "takes no end_node_names, net_input_shapes" in names.found
    assert "save_har takes 0 arguments by place, not 1" in names.found
    assert "get_hn_dict needs why" in names.found
    assert rows["parse a network"].state == "error"
    assert rows["compile"].state == "not asked"


def test_a_compiler_that_hangs_ends_in_bounded_time_with_the_answers_before(
    tmp_path: Path,
) -> None:
    hanging = _LACKING.replace(
        "def get_hn_dict(self, why): pass",
        "def get_hn_dict(self):\n        import time; time.sleep(600)",
    ).replace("start_node_names=None", "**options")
    answers, code = ask(sdk=_sdk(tmp_path, hanging), HEFSMITH_CONTACT_LIMIT="2")
    assert code == 3
    rows = {row.check: row for row in contact.judge(answers, "exit 3")}
    assert rows["import"].state == "ok"
    assert "no end after 2 seconds" in rows["parse a network"].found
    assert rows["the end of the test"].state == "error"


def test_a_compiler_that_dies_leaves_what_it_said(tmp_path: Path) -> None:
    dying = _LACKING.replace(
        "def __init__(self, hw_arch=None, har=None): pass",
        "def __init__(self, hw_arch=None, har=None):\n        import os; os._exit(139)",
    )
    answers, code = ask(sdk=_sdk(tmp_path, dying))
    assert code == 139
    rows = {row.check: row for row in contact.judge(answers, "exit 139")}
    assert "exit 139" in rows["the end of the test"].found
    assert rows["names and keywords"].state == "error"


def test_no_answer_at_all_is_an_error_and_a_table() -> None:
    rows = contact.judge(contact.read_answers("Segmentation fault\n"), "it died")
    assert states(rows)["the end of the test"] == "error"
    assert states(rows)["compile"] == "not asked"


def test_what_is_no_answer_is_not_read() -> None:
    mark = contact.MARK
    text = "\n".join(
        [
            mark + "{",
            mark + "[]",
            mark + '{"check": "parse", "state": "perhaps", "text": ""}',
            mark + json.dumps({"check": "parse", "state": "yes", "text": "x" * 9000}),
            *(mark + json.dumps({"check": str(i), "state": "yes", "text": ""}) for i in range(999)),
        ]
    )
    answers = contact.read_answers(text)
    assert len(answers["parse"].text) == 500
    assert len(answers) <= contact.MOST_ANSWERS


# The report.

CANARIES = (
    "maria", "/home/maria/projects/secret", "C:\\Users\\maria\\net", "maria@host.example",
    "192.168.7.33:22", "aa:bb:cc:dd:ee:ff", "greenhouse",
    "fe80::1c2d:3e4f%eth0", "2001:db8:0:0:1:2:3:4", "2001:db8::7", "GreenHouse", "Maria",
)  # fmt: skip


def test_nothing_private_is_in_a_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "maria")
    monkeypatch.setattr("platform.node", lambda: "greenhouse")
    rows = tuple(
        Row(check="x", state="error", found=f"cannot open {one}: no", fix=f"look at {one}")
        for one in CANARIES
    )
    report = public(ContactReport(subject="device", versions={"host": "greenhouse"}, rows=rows))
    text = json.dumps(report.to_json()) + as_text(report)
    for canary in (
        "maria",
        "secret",
        "greenhouse",
        "192.168.7.33",
        "aa:bb",
        "host.example",
        "fe80",
        "2001",
        "GreenHouse",
        "Maria",
        "eth0",
    ):
        assert canary not in text, canary
    assert "cannot open" in text


def test_a_command_and_what_lies_below_a_home_folder_go_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "jo.smith")
    monkeypatch.setattr("pathlib.Path.home", lambda: Path("/home/jo.smith"))
    command = "rtsp://jo.smith:hunter2@cam"
    told = f"held by python3 {command}; jo.smith@farm.example: /home/jo.smith/secret/x"
    rows = (Row(check="x", state="ok", found=told),)
    report = public(ContactReport(subject="device", versions={}, rows=rows, private=(command,)))
    for canary in ("smith", "hunter2", "cam", "farm", "secret", "rtsp"):
        assert canary not in report.rows[0].found, report.rows[0].found


def test_what_is_on_the_screen_can_be_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file is for others; a command to type was shown without the device's address, too."""
    fix = "Install one: ssh-copy-id pi@10.0.0.5\x1b[2J"
    rows = (Row(check="connection", state="error", found="no", fix=fix),)
    report = ContactReport(subject="device", versions={}, rows=rows, private=("10.0.0.5", "pi"))
    tell_report(report, tmp_path / "r.json", as_json=False)
    shown = capsys.readouterr().out
    assert "ssh-copy-id pi@10.0.0.5\\x1b[2J" in shown
    assert shown.startswith("device\n")
    for name in ("r.json", "r.txt"):
        assert "10.0.0.5" not in (tmp_path / name).read_text()
        assert "ssh-copy-id" in (tmp_path / name).read_text()
    check_output(tmp_path / "r.json")


@pytest.mark.parametrize("name", ["notes.txt", "mine.json", "text.json", "no/where.json", "."])
def test_a_report_takes_no_file_of_the_users(tmp_path: Path, name: str) -> None:
    """It was written over whatever was there, and its two forms over each other."""
    (tmp_path / "mine.json").write_text("{}")
    (tmp_path / "text.txt").write_text("shopping list")
    with pytest.raises(ConfigError):
        check_output(tmp_path / name)
    assert (tmp_path / "text.txt").read_text() == "shopping list"


def test_what_is_not_private_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "root")
    told = "root read-only 12:30:45 0000:01:00.0 4.23.0, std::bad_alloc, InferModel::run, conv1:0"
    rows = (Row(check="x", state="ok", found=told),)
    assert public(ContactReport(subject="device", versions={}, rows=rows)).rows[0].found == told


def test_a_report_is_read_as_it_was_written() -> None:
    rows = (Row(check="parse", state="warning", found="10 layers", fix="look\nthere"),)
    report = ContactReport(subject="toolchain", versions={"dfc": "3.33.0"}, rows=rows)
    assert read(json.dumps(report.to_json())) == report
    assert report.works
    assert read('{"other": 1}') is None
    with pytest.raises(ArtifactError):
        read('{"hefsmith_contact": 1, "rows": 5}')
    with pytest.raises(ArtifactError):
        read('{"hefsmith_contact": 9, "rows": []}')


def test_on_a_screen_what_was_found_is_folded_and_a_cure_stays_a_line() -> None:
    cure = "sudo apt install --reinstall hailofw  # version 4.23.0, then power off and on again"
    rows = (
        Row(check="Driver and library (R03)", state="error", found="word " * 40, fix=cure),
        Row(check="import", state="ok", found=""),
    )
    report = ContactReport(
        subject="device", versions={"chip": "x" * 20, "os": "y " * 60}, rows=rows
    )
    lines = as_text(report, 80).splitlines()
    assert "           " + cure in lines
    assert all(len(line) <= 80 for line in lines if cure not in line)
    assert " ".join(" ".join(lines).split()).count("word") == 40
    assert cure in as_text(report)
