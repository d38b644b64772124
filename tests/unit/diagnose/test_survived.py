"""What a program got over proves nothing, and what came after that proves all the same."""

from __future__ import annotations

import pytest

from orchestrator.diagnose.catalogue import load_catalogue
from orchestrator.diagnose.log_reader import read_log
from orchestrator.diagnose.survived import MENDED, installed, package_of, warned
from orchestrator.diagnose.traits import STEPS, TRAITS

MISSING = "ModuleNotFoundError: No module named 'requests'"
INSTALLED = "Successfully installed idna-3.7 requests-2.32.0"
NO_NAME = "curl: (6) Could not resolve host: example.com"
FETCHED = "100  20M  100  20M    0     0  10.0M      0  0:00:02  0:00:02 --:--:-- 10.0M"


def told(*lines: str) -> dict[str, str]:
    return {one.id: one.severity for one in read_log(lines).findings()}


def test_a_module_that_pip_installed_afterwards_is_no_cause_and_another_one_is() -> None:
    assert told(MISSING) == {"G03": "fatal"}
    assert told(MISSING, INSTALLED, "server started") == {"G03": "info"}
    assert told(MISSING, "Successfully installed idna-3.7", "$")["G03"] == "fatal"
    assert told(MISSING, INSTALLED, MISSING)["G03"] == "fatal"


def test_a_download_that_came_through_is_no_failure_and_one_that_did_not_is() -> None:
    assert told(NO_NAME, FETCHED, "saved")["G06"] == "info"
    assert told(FETCHED, NO_NAME)["G06"] == "fatal"


@pytest.mark.parametrize(
    ("name", "line", "over"),
    [
        ("M596", "E: Repository 'x a InRelease' changed its 'Suite' value from 'a' to 'b'",
         "Setting up curl (7.88.1-10) ..."),
        ("M590", "gpg: no valid OpenPGP data found.", "Setting up docker-ce (5:27.0.1) ..."),
        ("J601", "dial tcp: lookup registry.example.com on 192.168.1.1:53: server misbehaving",
         "Status: Downloaded newer image for registry.example.com/x:1"),
        ("M595", "configure: error: C compiler cannot create executables", "-- Configuring done"),
        ("S61", "all predefined address pools have been fully subnetted",
         " \u2714 Container detector  Started"),
        ("S10", 'Conflict. The container name "/detector" is already in use', "0e4f" * 16),
        ("J760", "Error code: Wsl/Service/CreateInstance/CreateVm/HCS/0x8037010d",
         "* Ubuntu    Running         2"),
        ("S35", "ERROR: No matching distribution found for hailo-dataflow-compiler",
         "Successfully installed hailo-dataflow-compiler-3.30.0"),
    ],
)  # fmt: skip
def test_what_came_through_at_last_takes_back_what_stopped_it(
    name: str, line: str, over: str
) -> None:
    assert told(line)[name] == "fatal"
    assert told(line, over, "$")[name] == "info"
    assert told(over, line)[name] == "fatal"


def test_a_unit_that_runs_for_some_time_has_got_over_what_stopped_it() -> None:
    failed = "detector.service: Failed to set up mount namespacing: /srv/clips: No such file"
    runs = "     Active: active (running) since Sat 2025-03-01 10:00:00 GMT; 2min ago"
    assert "fatal" in told(failed).values()
    assert "fatal" not in told(failed, "\u25cf detector.service - Detector", runs).values()
    assert "fatal" in told(failed, "\u25cf mqtt.service - Broker", runs).values()
    restarted = runs.replace("2min", "1s")
    assert "fatal" in told(failed, "\u25cf detector.service - Detector", restarted).values()
    assert "fatal" in told("\u25cf detector.service - Detector", runs, failed).values()


def test_every_step_and_trait_has_its_meaning_and_its_use() -> None:
    entries = load_catalogue().values()
    assert {name for name, _ in MENDED} <= STEPS.keys()
    assert {one for entry in entries for one in entry.traits} == TRAITS.keys()
    # Some steps only tell that a command which was tried again went well.
    assert {one for entry in entries for one in entry.ended_by} <= STEPS.keys()


def test_a_warning_may_be_the_cause_where_nothing_comes_after_it() -> None:
    warning = "WARNING Could not import apex: No module named 'apex'"
    assert told(warning) == {"G03": "possible"}
    assert told(warning, "Epoch 1/100", "Results saved") == {"G03": "info"}
    assert told("ERROR Could not import apex: No module named 'apex'", "end", "") == {
        "G03": "fatal"
    }


def test_advice_for_a_failure_is_none() -> None:
    said = "permission denied while trying to connect to the Docker daemon socket"
    assert told(said)["S08"] == "fatal"
    assert told(f"tip: if you see '{said}', join the group", "ready", "")["S08"] == "info"


@pytest.mark.parametrize(
    ("line", "warns"),
    [("warning: redirecting to x", True), ("(python3:1): Gtk-WARNING **: 10:00: no x", True),
     ("app.py:3: UserWarning: no x", True), ("cupy not found, falling back to numpy", True),
     ("grep: /etc/x: No such file or directory", True),
     ("WARNING: erroneous pipeline: no element hailonet", False),
     ("WARNING: Retrying after connection broken", False), ("W: GPG error: http://x", False),
     ("error: no x", False), ("the forewarned: no x", False)],
)  # fmt: skip
def test_which_lines_only_warn(line: str, warns: bool) -> None:
    assert warned(line) is warns


def test_names_of_packages_are_read_without_their_versions() -> None:
    assert installed("successfully installed hailo-apps-25.7.0 pyyaml-6.0.2") == {
        "hailo_apps",
        "pyyaml",
    }
    assert package_of("yaml.loader") == "pyyaml"
    assert package_of("hailo_apps.python") == "hailo_apps"


CAUGHT = (
    "2026-01-02 10:00:00,100 ERROR could not read the labels",
    "Traceback (most recent call last):",
    '  File "app.py", line 12, in load',
    "    import cv2",
    "ModuleNotFoundError: No module named 'cv2'",
)
CALM = ("2026-01-02 10:00:01,200 INFO using PIL", "2026-01-02 10:00:02,200 INFO frame 1: 12 ms")


def test_an_exception_that_a_program_logs_and_gets_over_is_no_cause() -> None:
    assert told(*CAUGHT, *CALM) == {"G03": "info"}
    assert read_log([*CAUGHT, *CALM]).ran().outcome == "unknown"
    # Nobody caught it; it ends there; the logger goes on to say that it does not go on.
    assert told(*CAUGHT[1:], *CALM) == {"G03": "fatal"}
    assert told(*CAUGHT) == told(*CAUGHT, CALM[0]) == {"G03": "fatal"}
    assert told(*CAUGHT, *CALM, "2026-01-02 10:00:03,200 ERROR cannot go on") == {"G03": "fatal"}


def test_what_ends_a_traceback_was_raised_whatever_it_is_called() -> None:
    lines = [*CAUGHT[1:4], "mypkg.core.NoSuchThing: the widget has no gadget"]
    assert [(one.id, one.line) for one in read_log(lines).findings()] == [("U01", 4)]
    assert read_log([*lines[:3], "Widgets: none"]).ran().outcome == "failed"
    assert read_log([*lines[:3], "    x = 1", "", "", "Widgets: none"]).findings() == []


@pytest.mark.parametrize(
    "line",
    ["+ echo 'a.yaml: No such file or directory: /opt/a.yaml'",
     'anna@box:~$ grep -c "no space left on device" /var/log/syslog',
     "# without it pip says: externally-managed-environment",
     "#9 [5/7] RUN test -f /opt/a || echo 'a: No such file or directory: /opt/a'",
     "    except FileNotFoundError:", "tests/test_a.py::test_raises_FileNotFoundError PASSED",
     "3f2a91c Fix permission denied: /dev/video0", "-    raise PermissionError(path)",
     '  --skip-missing   go on after "no such file or directory: /x/y"'],
)  # fmt: skip
def test_a_line_that_shows_words_instead_of_saying_them_proves_nothing(line: str) -> None:
    assert told("start", line, "end") == {}


def test_a_daemon_of_the_system_stops_nothing_of_the_users() -> None:
    unreachable = "Failed to connect to 10.0.0.1:123: Network is unreachable"
    assert (
        told(f"Mar 01 10:00:01 pi systemd-timesyncd[345]: {unreachable}", "x", "y")["L07"] == "info"
    )
    assert told(f"Mar 01 10:00:01 pi upload[345]: {unreachable}", "x")["L07"] == "fatal"


def test_a_message_is_no_better_proven_by_the_line_before_a_warning() -> None:
    said = (
        "s6-rc: info: service log-prepare: starting",
        "cat: /config/.x: No such file or directory",
    )
    assert told(*said, "starting", "started")["G01"] == "info"


def test_what_a_program_goes_on_without_did_not_stop_it() -> None:
    assert told("hailo_platform is not installed", "x")["S28"] == "fatal"
    gone_on = told("hailo_platform is not installed, Hailo support disabled", "x", "y")
    assert gone_on["S28"] == "info"


def test_a_users_own_code_within_a_log_of_the_compiler_is_not_the_compiler() -> None:
    step = "[info] Translation started on ONNX model net"
    failed = "ValueError: operands could not be broadcast together with shapes (12,4) (11,4)"
    frame = '  File "{}", line 9, in draw'
    trace = ("Traceback (most recent call last):", "    y = a + b", failed)
    own = told(step, trace[0], frame.format("/home/anna/eval/plot.py"), *trace[1:])
    assert own["P07"] == "possible"
    inside = frame.format("/venv/lib/python3.10/site-packages/hailo_sdk_client/x.py")
    assert told(step, trace[0], inside, *trace[1:])["P07"] == "fatal"
