"""``hef explain`` on files: one JSON document, several files as one story, odd encodings."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from orchestrator.cli.app import run
from orchestrator.diagnose.explain import explain_failure, explain_logs, lines_of
from orchestrator.diagnose.finding import Asked

FAILED = "[info] Starting Hailo allocation and compilation flow\nKeyError: 'USER'\n"


def explain(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = run(["explain", *words])
    out, err = capsys.readouterr()
    return code, out, err


def test_json_has_what_ran_and_the_findings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "run.log"
    log.write_text(
        "[warning] Reducing optimization level to 0 because there's no available GPU\n" + FAILED
    )
    code, out, err = explain(capsys, str(log), "--json")
    document = json.loads(out)
    assert (code, err) == (0, "")
    assert set(document) == {"ran", "findings", "notable"}
    assert {"level_asked", "level_run", "images_given", "images_used", "gpu", "contexts", "snr",
            "outcome", "versions"} <= set(document["ran"])  # fmt: skip
    assert document["ran"]["outcome"] == "failed"
    assert document["ran"]["gpu"] is False
    first = document["findings"][0]
    assert {"id", "severity", "line", "cause", "remedy"} <= set(first)
    assert (first["id"], first["severity"], first["line"]) == ("S22", "fatal", 3)
    assert [one["id"] for one in document["findings"]] == ["S22", "O01"]


def test_people_get_why_and_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "run.log"
    log.write_text(FAILED)
    code, out, _ = explain(capsys, str(log))
    assert code == 0
    assert "it failed" in out
    assert "S22  error" in out
    assert "-e USER=hailo" in out


def test_what_is_harmless_in_a_run_that_ended_well_is_not_told_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "dmesg.log"
    log.write_text(
        "[    4.9] hailo 0001:01:00.0: Probing on: 1e60:2864...\n"
        "[    4.998240] Failed to write file hailo/hailo8_board_cfg.bin\n"
        "[    5.062180] hailo 0001:01:00.0: NNC Firmware loaded successfully\n"
        "[    5.073118] hailo 0001:01:00.0: Probing: Added board 1e60-2864, /dev/hailo0\n"
        "\n$ hailortcli scan\nHailo Devices:\n[-] Device: 0001:01:00.0\n"
    )
    _, out, _ = explain(capsys, str(log))
    assert "it ended well" in out
    assert "R51  harmless" in out
    assert "most likely to matter" not in out


def test_a_log_from_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(FAILED.encode())))
    _, out, _ = explain(capsys, "-", "--json")
    assert [one["id"] for one in json.loads(out)["findings"]] == ["S22"]


def test_a_missing_file_is_a_usage_error_not_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = explain(capsys, str(tmp_path / "none\x1b[2J.log"))
    assert code == 2
    assert "none\\x1b[2J.log" in err
    assert "Traceback" not in err


def test_several_files_are_one_story_with_places_of_their_own(tmp_path: Path) -> None:
    first, second = tmp_path / "optimize.log", tmp_path / "compile.log"
    lowered = "[warning] Reducing optimization level to 0 because there is no available GPU"
    first.write_text(f"a\n[info] Using dataset with 64 entries for calibration\n{lowered}\n")
    second.write_text(FAILED)
    ran, findings, *_ = explain_logs([first, second], io.BytesIO())
    assert ran.images_used == 64
    places = {one.id: (one.line, one.file) for one in findings}
    assert places == {"S22": (2, str(second)), "O01": (3, str(first))}


def test_control_characters_of_a_log_never_reach_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "run.log"
    log.write_bytes(b"\x1b]0;evil\x07KeyError: '/model.22/cv2.0/\x07\x9b31mConv'\n")
    _, out, _ = explain(capsys, str(log))
    assert "E04" in out
    assert "\x1b" not in out
    assert "\x07" not in out
    assert "\x9b" not in out


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_logs_in_other_encodings_are_read(tmp_path: Path, encoding: str) -> None:
    log = tmp_path / "run.log"
    log.write_bytes(f"Größe\r\n{FAILED}".encode(encoding))
    findings = explain_logs([log], io.BytesIO()).findings
    assert [one.id for one in findings] == ["S22"]


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (b"", "It is empty. Take errors along, too"),
        (b" \n\r\n\t\n", "It is empty."),
        (b"\x01HEF\0\0\0\2" + bytes(200), "It is not a text file. Use hef inspect"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "It is not a text file."),
        (b"hello\nworld\n", "Give more of it: the command"),
        (FAILED.encode(), ""),
    ],
)
def test_a_log_that_shows_nothing_is_told_with_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, advice: str
) -> None:
    log = tmp_path / "run.log"
    log.write_bytes(content)
    code, out, _ = explain(capsys, str(log))
    assert code == 0
    if advice:
        assert advice in out.splitlines()[-1]
    else:
        assert "Give more of it" not in out


HELD = b"16x4 is not supported in conv1\n"


@pytest.mark.parametrize("start", [b"\x01HEF\0\0\0\2", b"\x7fELF\2\1\1", b"\x89HDF\r\n"])
def test_messages_that_a_file_holds_are_not_taken_for_what_was_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], start: bytes
) -> None:
    """Compilers write what they tried into a HEF, and each library has all its messages."""
    log = tmp_path / "net.hef"
    log.write_bytes(start + bytes(200) + b"\n" + HELD + FAILED.encode())
    code, out, _ = explain(capsys, str(log))
    assert code == 0
    assert "it failed" not in out
    assert "error" not in out
    assert out.splitlines()[-1].startswith("It is not a text file. Use hef inspect FILE")
    _, other, _ = explain(capsys, str(log), str(log))
    assert "it failed" not in other


def test_letters_in_a_picture_are_no_lines_that_matter(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "screen.jpg"
    log.write_bytes(
        b"\xff\xd8\xff\0" + b"\x80\x9d\xb1error\xc0\xd0 failed \xfe\xf0\x90 to\xa0\n" * 9
    )
    _, out, _ = explain(capsys, str(log))
    assert "most likely to matter" not in out
    assert "It is not a text file." in out


@pytest.mark.slow
def test_a_file_that_is_no_log_is_answered_with_nothing(tmp_path: Path) -> None:
    log = tmp_path / "x.hef"
    log.write_bytes(bytes(range(256)) * 4000)
    ran, findings, *_ = explain_logs([log], io.BytesIO())
    assert ran.outcome == "unknown"
    assert findings == []


def test_a_line_without_end_does_not_fill_the_memory() -> None:
    class Endless(io.RawIOBase):
        left = 64 << 20

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
            count = min(len(buffer), self.left)
            buffer[:count] = b"x" * count
            self.left -= count
            return count

    longest = max(len(line) for line in lines_of(io.BufferedReader(Endless())))
    assert longest <= (1 << 16) + 2


def test_a_failed_stage_is_explained_from_its_last_lines_and_the_context() -> None:
    found = explain_failure(
        ["UnsupportedOperationError in op /m/TopK: TopK operation is unsupported"],
        {"end_nodes": "/m/a/Conv", "model": "net"},
    )
    assert found[0].id == "P10"
    assert "end_nodes: [/m/a/Conv]" in str(found[0].recipe)


def test_a_failed_stage_is_never_left_without_an_answer() -> None:
    assert [one.id for one in explain_failure([])] == ["U01"]
    (unknown,) = explain_failure(["some text", "the last words"])
    assert "the last words" in unknown.cause
    silent, *_ = explain_failure(
        ["[info] Using dataset with 64 entries for calibration"], asked=Asked(images=99)
    )
    assert silent.id == "U01"
