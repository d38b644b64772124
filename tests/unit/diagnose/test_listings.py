"""Programs, settings, changes and commands that a report shows beside its log prove nothing."""

from __future__ import annotations

import pytest

from orchestrator.diagnose.log_reader import read_log
from orchestrator.diagnose.post.listings import is_code

SHOWN = {
    "Python": """\
try:
    with hp.VDevice() as target:
        run(target)
except hp.HailoRTException as e:
    if "HAILO_OUT_OF_PHYSICAL_DEVICES" in str(e):
        print("error: device in use by another process")
    raise RuntimeError("Mapping Failed")
except ImportError:
    logger.error("No module named 'hailo_platform'")""",
    "C": """\
static const char *names[] = {
    "HAILO_OUT_OF_PHYSICAL_DEVICES",
};
if (HAILO_SUCCESS != status) {
    std::cerr << "CHECK failed - Failed to open device file /dev/hailo0 with error 13" << std::endl;
    throw std::runtime_error("No module named 'hailo'");
}
// HAILO_OUT_OF_PHYSICAL_DEVICES: stop other programs""",
    "tests": """\
    self.assertIn("HEF file length does not match", out)
    expect(out).toContain("KV-Cache is already in use");
    with pytest.raises(RuntimeError, match="KV-Cache is already in use"):
match = re.search(r"HEF file length does not match", text)
tests/x.py::test XFAIL (KV-Cache is already in use)
SKIPPED [1] tests/x.py:3: could not import: No module named 'hailo_platform'
ok 1 - HEF file length does not match
test_length (tests.T) ... [HailoRT] [error] CHECK failed - HEF file length does not match""",
    "what a shell looks for": """\
if grep -q "HEF file length does not match" log.txt; then
case "$out" in
  *"KV-Cache is already in use"*) exit 1 ;;""",
    "tables of messages": """\
const ERR = "KV-Cache is already in use"
ERRORS = {
    "26": "HEF file length does not match",
    76: "Driver version (4.20.0) is different from library version (4.21.0)",
rules:
  - match: "KV-Cache is already in use\"""",
    "comments": '''\
<!-- HEF file length does not match -->
/**
 * HEF file length does not match
 * KV-Cache is already in use
 */
"""Raised when HEF file length does not match."""''',
    "found by grep": """\
src/vdevice.cpp:33: LOGGER__ERROR("there are not enough free devices. requested: 1, found: 0")
docs/faq.md:20:[HailoRT] [error] CHECK failed - HEF file length does not match""",
    "a list of parts": """\
1. [ModuleNotFoundError: No module named 'hailo_platform'](#a)
- [HEF file length does not match](https://example.org/b)""",
    "header": "/usr/include/hailort.h:80:    HAILO_STATUS__X(74, HAILO_OUT_OF_PHYSICAL_DEVICES)",
    "settings": """\
detectors:
  hailo:
    type: hailo8l
# error: permission denied on /dev/hailo0 -> chmod
# no module named 'hailo_platform'""",
    "change": """\
diff --git a/x.py b/x.py
@@ -1,3 +1,4 @@
 ModuleNotFoundError: No module named 'hailo'
-[error] Mapping Failed (allocation time: 1s)
+CUDA out of memory""",
    "history": """\
commit 3f1c2d9
Author: A <a@example.org>

    Fix "ModuleNotFoundError: No module named 'hailo'" in post-process""",
    "command": """\
pi@rpi:~ $ grep -c "No module named 'hailo'" log.txt
0
pi@rpi:~ $ dmesg | grep "Failed to open device file /dev/hailo0 with error 13\"""",
}


@pytest.mark.parametrize("name", SHOWN)
def test_what_is_shown_beside_a_log_asserts_nothing(name: str) -> None:
    found = read_log(SHOWN[name].split("\n")).findings()
    assert [one.id for one in found if one.severity in {"fatal", "possible"}] == []


@pytest.mark.parametrize("name", SHOWN)
def test_the_log_beside_it_is_read(name: str) -> None:
    log = f"{SHOWN[name]}\nModuleNotFoundError: No module named 'hailo_platform'"
    found = read_log(log.split("\n")).findings()
    assert [one.id for one in found if one.severity == "fatal"] == ["S28"]


@pytest.mark.parametrize(
    "before",
    [
        "commit 1a2b3c4 works; with master I get:",
        "commit 1a2b3c4",
        "diff --git a/x b/x",
        "@@ -1,2 +1,2 @@\n-a\n+b\n c",
        "commit 1a2b3c4\nAuthor: A <a@example.org>\n\n    Mend it\n\nand then:",
    ],
)
def test_the_log_behind_the_beginning_of_a_listing_is_read(before: str) -> None:
    log = f"{before}\n    ModuleNotFoundError: No module named 'hailo_platform'"
    found = read_log(log.split("\n")).findings()
    assert [one.id for one in found if one.severity == "fatal"] == ["S28"]


def test_a_log_kept_as_a_list_of_texts_is_read() -> None:
    found = read_log(['"[error] Mapping Failed (allocation time: 1s)",']).findings()
    assert "K02" in {one.id for one in found}


@pytest.mark.parametrize(
    "line",
    [
        "E: Unable to locate package hailo-all",
        "src/main.c:12:5: error: expected ';' before '}' token;",
        "if you see this error, install the driver.",
        "RuntimeError: raise_for_status() failed",
        "[HailoRT] [error] CHECK_SUCCESS failed with status=HAILO_TIMEOUT(4)",
        "return code 1",
        "import error: libhailort.so.4.20.0",
        "#12 3.45 ERROR: No matching distribution found for hailort",
        "* Could not resolve host: example.org",
        '{"error": "model not found"}',
        "with errors: 3 of 10 failed",
        "for loop at line 3: failed",
        'ERROR: "HEF file length does not match"',
        '12: "HEF file length does not match"',
        '"MESSAGE" : "HEF file length does not match",',
        "README.md:12 lines. HEF file length does not match",
        "expected: ok, got: HEF file length does not match",
    ],
)
def test_a_message_is_no_code(line: str) -> None:
    assert not is_code(line)
