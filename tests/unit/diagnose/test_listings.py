"""Programs, settings, changes and commands that a report shows beside its log prove nothing."""

from __future__ import annotations

import pytest

from orchestrator.diagnose.listings import is_code
from orchestrator.diagnose.log_reader import read_log

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
    ],
)
def test_a_message_is_no_code(line: str) -> None:
    assert not is_code(line)
