"""`hef inspect` and `hef diff` as a user meets them."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.cli.app import run
from orchestrator.hef import write_emulated_hef
from tests.fuzz.hef.seeds import networks
from tests.unit.hef.building import legacy, pack
from tests.unit.inspect.test_models import save, small_model

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.hef"
    path.write_bytes(pack(legacy()[0].SerializeToString(), 3, b"weights"))
    return path


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    path = tmp_path / "damaged.hef"
    data = bytearray(pack(legacy()[0].SerializeToString(), 3, b"weights"))
    data[-1] ^= 1
    path.write_bytes(data)
    return path


@pytest.fixture
def emulated(tmp_path: Path) -> Path:
    path = tmp_path / "net.emulated.hef"
    path.write_bytes(
        write_emulated_hef(networks()["ssd"], arch="hailo8l", resources={"graph": b"x" * 99})
    )
    return path


def test_a_person_sees_all_that_matters(emulated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(emulated)]) == 0
    out = capsys.readouterr().out
    for wanted in (
        "EMULATED",
        "HAILO8L, HAILO8",
        "XXH3 of the metadata ok",
        "net/input_layer1",
        "images",
        "0.00392157",
        "SSD on the host",
        "anchors 10x12 20x30",
        "background class 0",
        "graph  99 bytes",
        "metadata",
    ):
        assert wanted in out, wanted


def test_json_is_one_document_for_one_file_and_a_list_for_several(
    good: Path, emulated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["inspect", "--json", str(good)]) == 0
    one = json.loads(capsys.readouterr().out)
    assert one["file"] == "good.hef"
    assert one["integrity"]["ok"] is True
    assert run(["inspect", "--json", str(good), str(emulated)]) == 0
    several = json.loads(capsys.readouterr().out)
    assert [item["file"] for item in several] == ["good.hef", "net.emulated.hef"]
    assert several[1]["emulated"] is True
    assert run(["inspect", "--json", str(good.parent)]) == 0
    assert json.loads(capsys.readouterr().out) == several


def test_a_damaged_file_is_shown_with_all_that_can_be_read_and_exit_6(
    damaged: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["inspect", "--json", str(damaged)]) == 6
    document = json.loads(capsys.readouterr().out)
    assert document["checksum_ok"] is False
    assert document["integrity"]["ok"] is False
    assert document["integrity"]["problems"][0]["code"] == "hef.xxh3-64"
    assert document["network_groups"][0]["name"] == "net"
    assert run(["inspect", str(damaged)]) == 6
    out = capsys.readouterr().out
    assert "WRONG" in out
    assert "net/in" in out


def test_a_refused_file_keeps_what_was_read_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "long.hef"
    path.write_bytes(pack(legacy()[0].SerializeToString()) + b"tail")
    assert run(["inspect", "--json", str(path)]) == 6
    document = json.loads(capsys.readouterr().out)
    assert (document["status"], document["network_groups"]) == (91, [])
    assert document["salvaged"]["network_groups"][0]["outputs"][0]["name"] == "net/out"


@pytest.mark.parametrize(
    "content", [b"", b"version https://git-lfs.github.com/spec/v1\n", b"\x01HEF"]
)
def test_a_file_that_is_no_hef_has_a_document_too(
    tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.hef"
    path.write_bytes(content)
    assert run(["inspect", "--json", str(path)]) == 6
    document = json.loads(capsys.readouterr().out)
    assert document["status"] in (14, 92)
    assert document["integrity"]["problems"]
    assert run(["inspect", str(path)]) == 6


def test_for_a_chip_says_whether_it_runs_there(
    good: Path, emulated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["inspect", str(good), "--for", "hailo8", "--hailort", "4.23.0"]) == 0
    assert "HAILO8, HailoRT 4.23.0: yes" in capsys.readouterr().out
    assert run(["inspect", str(good), "--for", "hailo8l", "--hailort", "4.20.0", "--json"]) == 6
    answer = json.loads(capsys.readouterr().out)["compatibility"]
    assert answer["runs"] is False
    assert [item["code"] for item in answer["refusals"]] == ["header-version", "chip"]
    assert run(["inspect", str(emulated), "--for", "hailo8l"]) == 6
    assert "no chip can run it" in capsys.readouterr().out


def test_usage_mistakes_are_exit_2(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "nothing").mkdir()
    for arguments in (
        ["inspect", str(tmp_path / "absent.hef")],
        ["inspect", str(tmp_path / "nothing")],
        ["inspect", str(good), "--for", "hailo9"],
        ["inspect", str(good), "--hailort", "4.20.0"],
        ["inspect", str(good), "--for", "hailo8", "--hailort", "new"],
        ["inspect", "--vendor", str(tmp_path / "nothing")],
        ["diff", str(good), str(tmp_path / "absent.hef")],
    ):
        assert run(arguments) == 2, arguments
        assert "Traceback" not in capsys.readouterr().err


def test_vendor_output_is_the_vendors_and_only_that(
    shared_hefs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = shared_hefs / "repaired" / "New1_repaired.hef"
    parts = path.with_suffix(".expected.txt").read_text().split("--- stdout\n")
    for options, part in (([], parts[1]), (["--parse-streams"], parts[2])):
        assert run(["inspect", "--vendor", *options, str(path)]) == 0
        assert capsys.readouterr().out == part.split("--- stderr")[0]


def test_vendor_output_of_a_folder_has_a_heading_for_each_file(
    good: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (good.parent / "notes.txt").write_text("no hef")
    assert run(["inspect", "--vendor", str(good.parent)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["*" * 80, f"Parsing {good}:"]
    assert lines[2] == "HEF Compatible for: HAILO8"


def test_vendor_mode_accepts_what_hailort_accepts_and_warns(
    damaged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["inspect", "--vendor", str(damaged)]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("HEF Compatible for")
    assert "HailoRT does not check this" in captured.err
    path = tmp_path / "refused.hef"
    path.write_bytes(pack(legacy()[0].SerializeToString()) + b"tail")
    assert run(["inspect", "--vendor", str(path)]) == 6
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "too many" in captured.err


def test_names_with_terminal_codes_are_made_visible(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message, group = legacy()
    name = "net/\x1b[31mred[/bold]"
    group.contexts[0].metadata.layers[0].info.name = name
    group.contexts[0].metadata.layers[1].info.original_names[0] = "\x9b31m\u202eback"
    group.contexts[0].metadata.layers[0].info.original_names[0] = "line\nbreak"
    path = tmp_path / "x.hef"
    path.write_bytes(pack(message.SerializeToString()))
    for options in ([], ["--json"]):
        assert run(["inspect", *options, str(path)]) == 0
        out = capsys.readouterr().out
        assert not set("\x1b\x9b\u202e") & set(out)
        assert "[31mred[/bold]" in out
    # programs find streams by the name as it is
    assert json.loads(out)["network_groups"][0]["inputs"][0]["name"] == name
    assert run(["inspect", str(path)]) == 0
    assert "line\\nbreak" in capsys.readouterr().out


@pytest.mark.slow
def test_onnx_and_har_files_are_inspected_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = save(small_model(), tmp_path)
    assert run(["inspect", str(path)]) == 0
    out = capsys.readouterr().out
    assert "1x3x32x32" in out
    assert "GlobalAveragePool 1" in out
    assert run(["inspect", "--json", str(path)]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "onnx"
    path.write_bytes(b"no model")
    assert run(["inspect", str(path)]) == 6


def test_one_unreadable_file_does_not_hide_the_others(
    good: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (good.parent / "bad.onnx").write_bytes(b"no model")
    assert run(["inspect", "--json", str(good.parent)]) == 6
    bad, fine = json.loads(capsys.readouterr().out)
    assert bad["error"]["code"] == "onnx.not-onnx"
    assert fine["file"] == "good.hef"
    assert run(["inspect", str(good.parent)]) == 6
    out = capsys.readouterr().out
    assert "not an ONNX model" in out
    assert "net/in" in out


def test_diff_is_0_for_the_same_and_1_for_a_change(
    emulated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["diff", str(emulated), str(emulated)]) == 0
    assert capsys.readouterr().out == ""
    other = tmp_path / "other.emulated.hef"
    changed = replace(networks()["ssd"], predicted_fps=12.0)
    other.write_bytes(write_emulated_hef(changed, arch="hailo8l", resources={"graph": b"x" * 99}))
    assert run(["diff", str(emulated), str(other)]) == 1
    assert "  predicted FPS: 90.5 -> 12\n" in capsys.readouterr().out
    assert run(["diff", "--json", str(emulated), str(other)]) == 1
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert document["same"] is False
    assert {"where": "net", "what": "predicted FPS", "a": "90.5", "b": "12"} in document["changes"]


def test_diff_of_a_damaged_file_is_exit_6(
    good: Path, damaged: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["diff", str(good), str(damaged)]) == 6
    said = capsys.readouterr().err
    assert "does not match" in said
    assert said.startswith("error: damaged.hef: ")


def test_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, orchestrator.hef, orchestrator.cli.inspect\n"
        "heavy = {'google.protobuf', 'xxhash', 'rich.console', 'numpy', 'onnx', 'hashlib_'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    run_ = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run_.stdout.strip() == "[]"


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_a_narrow_screen_shows_every_fact_of_every_output(columns: int) -> None:
    """A table that was too wide lost its last column, and half a name, without a word."""
    from rich.console import Console

    from orchestrator.hef import examine_hef
    from orchestrator.hef.render import render_examination

    message, group = legacy("a_network_of_some_length")
    info = group.contexts[0].metadata.layers[1].info
    info.original_names.append("/model.22/cv2.0/cv2.0.2/Conv")
    info.numeric.zero_point = 121
    shown = render_examination(examine_hef(pack(message.SerializeToString())), framed=True)
    console = Console(width=columns, highlight=False)
    with console.capture() as capture:
        console.print(shown)
    lines = capture.get().splitlines()
    assert max(map(len, lines)) <= columns
    said = " ".join(" ".join(line.strip("│ ") for line in lines).split())
    for wanted in (
        "a_network_of_some_length/out",
        "NHWC(4x4x8)",
        "128 bytes",
        "zero point 121",
        "orig/a_network_of_some_length/out",
        "/model.22/cv2.0/cv2.0.2/Conv",
    ):
        assert wanted in said, lines


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--vendor", "--json"], "so --json has no effect"),
        (["--vendor", "--for", "hailo8l"], "so --for has no effect"),
        (["--parse-streams"], "--parse-streams needs --vendor"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(
    good: Path, options: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["inspect", str(good), *options]) == 2
    assert told in capsys.readouterr().err


def test_what_is_not_compiled_yet_is_not_said_to_run_anywhere(
    tmp_path: Path, good: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = save(small_model(), tmp_path)
    assert run(["inspect", str(path), "--for", "hailo8l"]) == 2
    assert f"hef lint {path} --arch hailo8l" in capsys.readouterr().err
    (tmp_path / "net.pt").write_bytes(b"PK")
    assert run(["inspect", str(tmp_path / "net.pt"), "--for", "hailo8l"]) == 2
    capsys.readouterr()
    assert run(["inspect", str(good), str(path), "--for", "hailo8"]) == 0


def test_a_missing_file_is_not_answered_with_builds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["inspect", str(tmp_path / "lost.hef")]) == 2
    assert "hint" not in capsys.readouterr().err
    assert run(["diff", str(tmp_path / "lost.hef"), str(tmp_path / "too.hef")]) == 2
    assert "hef report --compare" in capsys.readouterr().err


@pytest.mark.parametrize("ending", [".pt", ".har", ".tflite", ".keras", ".safetensors", ".onnx"])
@pytest.mark.parametrize(
    ("content", "is_a", "step"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\n",
            "Git LFS pointer",
            "lfs pull",
        ),
        (b"<!DOCTYPE html><html>", "web page", "download it again"),
        (b"", "empty", "copy it again"),
        (b"\x01HEF\0\0\0\3", "a HEF", ".hef"),
        (b"BZh91AY&SY", "bzip2 archive", "unpack it"),
    ],
)
def test_a_file_that_is_something_else_is_called_what_it_is(
    tmp_path: Path,
    ending: str,
    content: bytes,
    is_a: str,
    step: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / f"net{ending}"
    path.write_bytes(content)
    assert run(["inspect", str(path)]) == 6
    said = capsys.readouterr().err
    assert is_a in said
    assert step in said or (not content and ending == ".onnx")
    assert "the HEF may" not in said
    assert "hef up" not in said


@pytest.mark.parametrize(
    ("ending", "content"),
    [(".pt", b"PK\3\4cut"), (".keras", b"PK\3\4cut"), (".har", b"\x1f\x8bcut")],
)
def test_a_damaged_file_of_its_own_kind_is_not_called_another(
    tmp_path: Path, ending: str, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"net{ending}"
    path.write_bytes(content)
    assert run(["inspect", str(path)]) == 6
    assert "archive" not in capsys.readouterr().err


def test_lint_calls_a_hef_a_hef(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It was said to be too large, or not text: true, and no help."""
    for content in (good.read_bytes(), good.read_bytes() + bytes(300_000)):
        good.write_bytes(content)
        assert run(["lint", str(good)]) == 2
        said = capsys.readouterr().err
        assert "is a HEF, not a model script" in said
        assert f"hef inspect {good}" in said


def test_verify_says_what_it_takes_where_it_is_given_a_model(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["verify", "net"]) == 2
    assert "hef verify artifacts/MODEL/CHIP" in capsys.readouterr().err


def test_a_person_is_told_of_a_file_in_the_own_language(
    emulated: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All but the labels of the other language stayed English, also what is wrong with a file."""
    monkeypatch.setenv("HEFSMITH_LANG", "pt-BR")
    cut = tmp_path / "cut.hef"
    cut.write_bytes(emulated.read_bytes()[:-9])
    assert run(["inspect", str(emulated)]) == 0
    whole = capsys.readouterr().out
    assert run(["inspect", str(cut)]) == 6
    said = capsys.readouterr().out
    for wanted in ("integridade", "íntegro", "tipo e forma"):
        assert wanted in whole
    for wanted in ("ERRADO", "Copie ou baixe o arquivo de novo"):
        assert wanted in said
    assert not {"integrity", "problem", "size", "contexts", "sound"} & set(
        f"{whole} {said}".split()
    )
    assert run(["inspect", str(save(small_model(), tmp_path))]) == 0
    assert "parâmetros" in capsys.readouterr().out
