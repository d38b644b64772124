"""What a test prints that passes, what a program only plays, and lists of titles assert nothing."""

from __future__ import annotations

import pytest

from orchestrator.diagnose.log_reader import read_log

LENGTH = "[HailoRT] [error] CHECK failed - HEF file length does not match"
NODE = "[HailoRT] [error] Failed to open device file /dev/hailo0 with error 2"
MODULE = "ModuleNotFoundError: No module named 'hailo_platform'"

PASSED = {
    "GoogleTest": f"""\
[==========] Running 2 tests from 1 test suite.
[ RUN      ] HefTest.BadLength
{LENGTH}
[       OK ] HefTest.BadLength (3 ms)
[ RUN      ] HefTest.NoDevice
{NODE}
[       OK ] HefTest.NoDevice (3 ms)
[  PASSED  ] 2 tests.""",
    # "# TODO" is TAP's own mark of a test that may fail.
    "TAP": f"""\
1..3
ok 1 - opens the device
# {NODE}
ok 2 - says {MODULE}
not ok 3 - says HEF file length does not match # TODO""",
    "pytest with its log": f"""\
tests/test_a.py::test_error[HEF file length does not match] PASSED
tests/test_a.py::test_b
-------------------------------- live log call ---------------------------------
ERROR    app:detect.py:20 {MODULE}
PASSED
============================== 2 passed in 0.12s ===============================""",
    "a run of pytest": f"""\
============================= test session starts ==============================
tests/test_a.py {LENGTH}
..
========================= 2 passed, 1 warning in 0.12s =========================""",
    "CTest": f"""\
test 1
    Start 1: no_device
1: {NODE}
1/2 Test #1: no_device ...................   Passed    0.01 sec
    Start 2: HEF file length does not match
2/2 Test #2: HEF file length does not match ...   Passed    0.01 sec""",
    "unittest": f"""\
test_length (tests.test_a.TestA.test_length) ... {NODE}
{LENGTH}
ok""",
    "Go": """\
=== RUN   TestHef
    hef_test.go:12: CHECK failed - HEF file length does not match
--- PASS: TestHef (0.00s)
    hef_test.go:14: KV-Cache is already in use""",
    "mocha": f"  \u2713 says {MODULE}\n  \u2715 says {NODE} (3 ms)",
    "titles of issues": f"""\
#12 HEF file length does not match
#13 {MODULE}
a/b#14 {NODE}
12\tOPEN\t{LENGTH}\tbug""",
    "found in sources": f"""\
src/hef.cpp:121:HEF file length does not match
src/app.py
40:    # {MODULE}""",
}
PLAYED = {
    "a mock": f"[mock] would print: {LENGTH}",
    "a dry run": f"DRY RUN: would fail with {NODE}",
    "a simulated error": f"simulated error: {MODULE}",
    "an injected one": f"Injecting fault 3: {LENGTH}",
    "a table of statuses": """\
HAILO_INVALID_HEF = 26
HAILO_DRIVER_NOT_INSTALLED = 64
HAILO_OUT_OF_PHYSICAL_DEVICES = 74
HAILO_INVALID_DRIVER_VERSION = 76""",
}
FAILED = {
    "GoogleTest": (
        f"""\
[ RUN      ] A.B
{LENGTH}
[       OK ] A.B (3 ms)
[ RUN      ] A.C
{NODE}
a.cpp:12: Failure
[  FAILED  ] A.C (3 ms)
[ RUN      ] A.D
[       OK ] A.D (1 ms)""",
        "R33",
    ),
    "a crash in a test": (f"[ RUN      ] A.B\n{NODE}\nSegmentation fault", "R33"),
    "before the tests": (f"{LENGTH}\n[ RUN      ] A.B\n{NODE}\n[       OK ] A.B (3 ms)", "H03"),
    "TAP": (f"1..1\nnot ok 1 - opens the device\n# {NODE}", "R33"),
    "pytest": (
        f"""\
============================= test session starts ==============================
tests/test_a.py::test_x FAILED
E       {MODULE}
tests/test_a.py:3: ModuleNotFoundError
FAILED tests/test_a.py::test_x - {MODULE}
========================= 1 failed, 3 passed in 0.12s =========================""",
        "S28",
    ),
    "Go": (f"=== RUN   TestHef\n{LENGTH}\n--- FAIL: TestHef (0.00s)\nFAIL", "H03"),
    "docker": (f"#8 0.331 {MODULE}\n#8 ERROR: process did not complete", "S28"),
    "a log that was searched": (f"hailort.log:14:{LENGTH}", "H03"),
    "a word of expectation": (f"As expected it fails.\n{LENGTH}", "H03"),
    "a logger with its place": (f"detect.py:20:ERROR:{MODULE}", "S28"),
    "two statuses": (f"{NODE}\nHAILO_INVALID_HEF\nHAILO_TIMEOUT", "R33"),
}


def told(text: str) -> dict[str, str]:
    return {one.id: one.severity for one in read_log(text.split("\n")).findings()}


@pytest.mark.parametrize("name", PASSED)
def test_what_a_passed_test_printed_says_nothing(name: str) -> None:
    found = read_log(PASSED[name].split("\n"))
    assert [one.id for one in found.findings() if one.severity != "info"] == []
    assert found.ran().outcome != "failed"


@pytest.mark.parametrize("name", PLAYED)
def test_what_is_only_played_is_not_asserted(name: str) -> None:
    assert "fatal" not in told(PLAYED[name]).values()


@pytest.mark.parametrize("name", FAILED)
def test_what_failed_beside_or_in_a_test_is_asserted(name: str) -> None:
    text, cause = FAILED[name]
    assert [one for one, severity in told(text).items() if severity == "fatal"] == [cause]
    assert read_log(text.split("\n")).ran().outcome == "failed"
