"""A paste as a whole: whose words its lines are, and how they were cut."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from orchestrator.diagnose.explain import explain_logs
from orchestrator.diagnose.log_reader import VendorLog, read_log
from orchestrator.diagnose.post.unfolded import unfold
from orchestrator.diagnose.post.whole import as_told
from orchestrator.diagnose.post.wrapped import joined, width
from tests.corpus import load

if TYPE_CHECKING:
    from pathlib import Path

LENGTH = "[HailoRT] [error] CHECK failed - HEF file length does not match"
NODE = "[HailoRT] [error] Failed to open device file /dev/hailo0 with error 13"
VERSIONS = "[HailoRT] [error] Driver version (4.19.0) is different from library version (4.20.0)"
MODULE = "ModuleNotFoundError: No module named 'onnx'"


def read(text: str) -> VendorLog:
    return read_log(text.split("\n"))


def asserted(text: str) -> set[str]:
    return {one.id for one in read(text).findings() if one.severity == "fatal"}


@pytest.mark.parametrize(
    "head",
    [
        "@nina wrote:",
        "Max Muster schrieb am 3. November:",
        "On Tue, Nov 3, 2026 at 10:11 AM jo <jo@example.com> wrote:",
        "Am 30.11.2026 um 08:00 schrieb Max:",
        "Le mar. 3 nov. 2026 à 10:11, Jo <jo@example.com> a écrit :",
    ],
)
def test_what_somebody_else_wrote_is_not_the_writers(head: str) -> None:
    own = f"$ python export.py\n{MODULE}"
    assert asserted(f"{head}\n> {LENGTH}\n\nHere it is another:\n{own}") == {"G03"}
    assert asserted(f"{own}\n\n{head}\n> {LENGTH}") == {"G03"}
    # Nothing but the quotation, or the same at the writer's: then the log in it is the log.
    assert "H03" in asserted(f"{head}\n> {LENGTH}\n\nCan somebody help?")
    assert "H03" in asserted(f"{head}\n> {LENGTH}\n\nSame here.\n$ uname -r\n6.8.0-60-generic")


def test_versions_in_a_quotation_are_not_the_writers() -> None:
    ran = read(f"Max wrote:\n> {VERSIONS}\n\nMine:\n$ hailortcli scan\nHailo Devices:").ran()
    assert dict(ran.versions) == {}


def test_a_quotation_of_nobody_is_the_writers_own_log() -> None:
    assert "R32" in asserted(f"My Pi says\n> $ hailortcli scan\n> {NODE}\n\n$ uname -r\n6.6.51")


@pytest.mark.parametrize(
    "command",
    [
        "cat check.sh",
        "sed -n 1,9p docs/errors.md",
        "rg cut src",
        "git show 8f2e1d0 | head -20",
        "git log -p -1",
        "git diff HEAD~1",
        "man hailortcli",
        "strings libhailort.so | grep HEF",
    ],
)
def test_what_a_command_shows_of_a_document_is_no_log(command: str) -> None:
    assert asserted(f"$ {command}\n{LENGTH}\n$ ls") == set()
    assert "H03" in asserted(f"$ {command}\ntext\n\nNow I run it and get this:\n{LENGTH}")
    assert "H03" in asserted(f"$ {command}\ntext\n```\n{LENGTH}")


@pytest.mark.parametrize(
    "command",
    [
        "cat hailort.log",
        "dmesg | grep -i hailo",
        "tail -n 5 /var/log/app/run.conf",
        "git show HEAD:logs/run.log",
        "gh run view 12 --log-failed",
        "curl -s http://nvr.example.com:5000/api/logs/frigate",
        "curl -sL https://example.com/docs.md | bash",
    ],
)
def test_what_a_command_shows_of_a_log_is_read(command: str) -> None:
    assert "H03" in asserted(f"$ {command}\n{LENGTH}\n$ ls")


def test_a_list_of_statuses_is_no_failure() -> None:
    rows = (
        "restart_on:\n  - HAILO_TIMEOUT(4)\n  - HAILO_INVALID_HEF(26)\n"
        "ignore:\n  - HAILO_STREAM_ABORT(62)"
    )
    read_rows = read(rows)
    assert read_rows.findings() == []
    assert read_rows.ran().outcome == "unknown"
    assert "R08" in asserted("status=HAILO_OUT_OF_PHYSICAL_DEVICES(74)")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"You should see:\n```\n{LENGTH}\n```", set()),
        (f"You would see\n```\n{LENGTH}\n```\nI get\n```\n{NODE}\n```", {"R32"}),
        (f"Possible causes:\n1. cut\n   {LENGTH}\n2. rights\n   {NODE}", set()),
        (f"I get one of these errors:\n- {LENGTH}", {"H03"}),
        (f"As you can see:\n```\n{LENGTH}\n```", {"H03"}),
        (f"Run it and you will see:\n```\n{LENGTH}\n```", {"H03"}),
    ],
)
def test_what_would_come_did_not(text: str, expected: set[str]) -> None:
    assert asserted(text) == expected


def test_a_retry_on_another_host_is_none() -> None:
    good = "Network m/m: 100% | 500 | FPS: 99.8\n> Inference result:\n    FPS: 99.81"
    two = "pi@one:~ $ hailortcli run m.hef\n{}\npi@{}:~ $ hailortcli run m.hef\n{}"
    assert "R03" in asserted(two.format(VERSIONS, "two", good))
    assert asserted(two.format(VERSIONS, "one", good)) == set()


def test_a_good_end_inside_of_a_container_answers_for_the_engine() -> None:
    text = (
        "me@pc:~$ docker load -i suite.tar\n"
        "Error response from daemon: Get https://registry.example.com/v2/: net/http: "
        "TLS handshake timeout\n"
        "me@pc:~$ docker run -it suite bash\n"
        "root@0123456789ab:/# hailomz compile yolov8n\n"
        "<Hailo Model Zoo INFO> HEF file written to yolov8n.hef"
    )
    assert asserted(text) == set()


def test_the_lines_of_one_string_are_read_one_by_one() -> None:
    text = '{"job": 7, "log": "start\\n' + LENGTH + '\\nend", "rc": 1}\nnext'
    found = read(text).findings()
    assert [(one.id, one.line) for one in found] == [("H03", 1)]
    assert [one.line for one in as_told([text.split("\n")[0]])] == ["start", LENGTH, "end"]
    later = read(f"{text}\n{NODE}").findings()
    assert {one.id: one.line for one in later} == {"H03": 1, "R32": 3}


@pytest.mark.parametrize(
    "line",
    [
        "[info] <hailo> a < b",
        'print("a\\nb\\nc")',
        "$ printf 'one line here\\ntwo\\nthree\\n'",
        r"C:\new\name is not there",
        '{"log":"one line\\n","stream":"stderr"}',
    ],
)
def test_other_lines_stay_whole(line: str) -> None:
    assert unfold(line) == [line]


def test_a_line_cut_by_a_terminal_is_read_whole_and_keeps_its_number() -> None:
    long = "x" * 30 + " " + LENGTH * 2
    lines = ["$ run", *(long[at : at + 80] for at in range(0, len(long), 80)), NODE]
    assert width(lines) == 80
    assert joined(lines)[1] == (long, 1)
    assert {one.id: one.line for one in read_log(lines).findings()}["R32"] == 4


@pytest.mark.parametrize(
    "below", [NODE, "ValueError: no", "make: *** [all] Error 1", "12:00:00 next", ""]
)
def test_a_line_that_is_as_wide_by_chance_stays(below: str) -> None:
    wide = "Loading the network from the folder " + "n" * 44
    assert joined([wide, below]) == [(wide, 0), (below, 0)]


def test_no_post_is_read_ahead_for_ever() -> None:
    read_so_far = []

    def endless() -> object:
        for number in range(10_000):
            read_so_far.append(number)
            yield "line"

    next(as_told(endless()))  # type: ignore[arg-type]
    assert len(read_so_far) < 5000


def test_the_last_format_that_failed_is_no_good_end() -> None:
    text = "ONNX: export success 1.2s, saved as n.onnx\n{}\nExport complete (5.2s)"
    failed = "TensorFlow SavedModel: export failure 3.4s: no GPU"
    assert read(text.format(failed)).ran().outcome == "failed"
    assert read(text.format("")).ran().outcome == "ok"
    assert read(text.format("CoreML: export failure 0.1s: not here")).ran().outcome == "ok"


def test_versions_of_other_makers_and_of_prose_are_none_of_hailos() -> None:
    for line in (
        "NVML library version: 550.120",
        "| NVIDIA-SMI 550.54 Driver Version: 550.54 CUDA Version: 12.4 |",
        "I had HailoRT 4.19.0 before",
        "- Fixed: DFC version 3.29 wrote wrong files",
    ):
        assert dict(read(line).ran().versions) == {}, line
    assert read(VERSIONS).ran().versions["driver"] == "4.19.0"


def test_contexts_are_not_counted_in_a_log_that_was_shortened() -> None:
    text = "[info] Found valid partition to 3 contexts\n[info] Compiling kernels of n_context_0..."
    assert read(text).ran().contexts == 3


@pytest.mark.parametrize(
    ("slip", "said", "right"),
    [
        ("$ hialortcli scan", "bash: hialortcli: command not found", "$ hailortcli scan"),
        (">>> import onxn", "ModuleNotFoundError: No module named 'onxn'", ">>> import onnx"),
        (
            "In [1]: import onxn",
            "ModuleNotFoundError: No module named 'onxn'",
            "In [2]: import onnx",
        ),
    ],
)
def test_a_name_that_was_mistyped_and_typed_again_is_no_failure(
    slip: str, said: str, right: str
) -> None:
    assert asserted(f"{slip}\n{said}\n{right}\n") == set()
    # The same name again, another one, or nothing after it: then it is missing.
    assert asserted(f"{slip}\n{said}\n{slip}\n{said}\n") != set()
    assert asserted(f"{slip}\n{said}\n{right.rsplit(' ', 1)[0]} torch\n") != set()
    assert asserted(f"{slip}\n{said}\n") != set()


@pytest.mark.parametrize(
    "command",
    [
        "gh issue view 72 -R example/apps",
        "gh pr view 3 --comments",
        "curl -s https://api.github.com/repos/example/apps/issues/7 | jq -r .body",
        "curl -L https://raw.githubusercontent.com/example/docs/main/errors.md",
        "w3m -dump https://community.example.com/t/12",
    ],
)
def test_what_a_command_fetches_of_others_is_theirs_with_all_sentences(command: str) -> None:
    body = f"It stops at start.\n\nI get this here.\n```\n{LENGTH}\n```\n{LENGTH}"
    assert asserted(f"$ {command}\n{body}\n$ ls") == set()
    assert "H03" in asserted(f"$ {command}\n{body}\n$ hailortcli run x.hef\n{LENGTH}")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('LOG = """', '"""'),
        ("    out = parse('''", "    ''')"),
        ("const LOG = `", "`;"),
        ('auto log = R"(', ')";'),
        ("$ cat > notes.txt <<EOF", "EOF"),
        ("$ mail -s log ann <<'END'", "END"),
    ],
)
def test_what_stands_in_a_string_of_a_program_is_no_log(before: str, after: str) -> None:
    assert asserted(f"{before}\n{LENGTH}\n{after}\n$ pytest -q\n1 passed in 0.02s") == set()
    # It never ends: then it was none.
    assert "H03" in asserted(f"{before}\n{LENGTH}\n$ ls")


def test_three_quotes_alone_are_a_persons_fence() -> None:
    assert "H03" in asserted(f'It says\n"""\n{LENGTH}\n"""\nWhat is that?')


def test_a_mail_without_marks_is_its_writers_until_somebody_answers() -> None:
    head = "Am 12.11.2026 schrieb Peter Maier:"
    assert asserted(f"{head}\n\n{LENGTH}\n\nHi Peter, did you load it again?") == set()
    assert "H03" in asserted(f"Can you help Peter?\n\n{head}\n\n{LENGTH}")
    assert "H03" in asserted(f"{head}\n\n{LENGTH}\n\nHi Peter, same here, any news?")
    own = f"Hi Peter, I get another one:\n$ python export.py\n{MODULE}"
    assert asserted(f"{head}\n\n{LENGTH}\n\n{own}") == {"G03"}


def test_an_answer_of_another_host_is_no_good_end_of_this_one() -> None:
    bad = f"pi@one:~ $ hailortcli run x.hef\n{VERSIONS}"
    ends = "hailortcli fw-control identify\nDevice Architecture: HAILO8"
    assert read(f"{bad}\npi@two:~ $ {ends}").ran().outcome == "failed"
    assert read(f"{bad}\npi@one:~ $ {ends}").ran().outcome == "ok"


def test_the_same_command_that_runs_at_last_ended_well() -> None:
    first = f"$ python detect.py\nTraceback (most recent call last):\n{MODULE}"
    assert read(f"{first}\n$ pip install onnx\n$ python detect.py\nFPS: 62.1").ran().outcome == "ok"
    assert read(f"{first}\n$ python detect.py\n{MODULE}").ran().outcome == "failed"


def test_nothing_ended_well_beside_what_is_asserted(tmp_path: Path) -> None:
    case = next(one for one in load("near_misses_one") if one.name == "nm1-chmod-hailo")
    log = tmp_path / "two.log"
    log.write_text(case.log)
    told = explain_logs([log], io.BytesIO())
    assert [one.severity for one in told.findings][:1] == ["fatal"]
    assert read(case.log).ran().outcome == "ok"
    assert told.ran.outcome == "failed"
