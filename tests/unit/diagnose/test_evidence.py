"""A cause is asserted only by its own wording, in its own program, and not as an echo."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from orchestrator.cli.app import run
from orchestrator.diagnose.explain import explain_logs
from orchestrator.diagnose.log_reader import read_log
from orchestrator.diagnose.tracebacks import Tracebacks

CAMERA = """    picam2 = Picamera2()
  File "/usr/lib/python3/dist-packages/picamera2/picamera2.py", line 246, in __init__
    camera_num = self.global_camera_info()[camera_num]["Num"]
IndexError: list index out of range"""
OWN = """Traceback (most recent call last):
  File "/home/pi/app/post.py", line 8, in decode
    boxes = boxes * scale
ValueError: operands could not be broadcast together with shapes (100,4) (3,)"""


def told(text: str) -> dict[str, str]:
    return {one.id: one.severity for one in read_log(text.split("\n")).findings()}


def test_a_camera_that_is_not_there_is_no_network_that_does_not_compile() -> None:
    assert told(CAMERA) == {"V01": "fatal"}


def test_a_message_that_any_program_may_print_asserts_only_in_the_compiler() -> None:
    line = "ValueError: operands could not be broadcast together with shapes (104,) (52,)"
    assert told("[info] Translation started on ONNX model net\n" + line) == {"P07": "fatal"}
    assert told(line) == {"P07": "possible"}
    assert told(CAMERA.replace("IndexError: list index out of range", line)) == {"V01": "fatal"}


def test_a_possible_cause_says_what_would_confirm_it() -> None:
    (finding,) = read_log(OWN.split("\n")).findings()
    assert finding.severity == "possible"
    assert finding.confirm


def test_the_first_exception_of_a_chain_decides() -> None:
    log = read_log(
        [
            "Traceback (most recent call last):",
            '  File "/home/pi/main.py", line 4, in <module>',
            "LookupError: no zone of that name",
            "",
            "During handling of the above exception, another exception occurred:",
            "",
            "Traceback (most recent call last):",
            '  File "/home/pi/main.py", line 9, in <module>',
            "ModuleNotFoundError: No module named 'setproctitle'",
        ]
    )
    (finding,) = log.findings()
    assert (finding.id, finding.severity) == ("G03", "possible")
    assert log.unexplained("").text == "LookupError: no zone of that name"


def test_a_warning_before_a_traceback_is_not_its_cause() -> None:
    found = told(
        "hailo_platform not available. HEF utilities will not work.\n"
        "Traceback (most recent call last):\n"
        '  File "/home/pi/main.py", line 4, in <module>\n'
        "LookupError: no zone of that name"
    )
    assert found == {"R54": "warn", "U01": "unknown"}


def test_lines_are_quoted_as_they_are() -> None:
    line = "HailoNNException: The layer named conv84 doesn't exist in the HN"
    (finding,) = read_log([line]).findings()
    assert finding.text == line


def test_the_stage_is_told_from_what_the_log_shows() -> None:
    optimize = ["[info] Starting Mixed Precision", "RuntimeError: the moon is full"]
    for lines, stage in (
        (optimize, "optimize"),
        (["[HailoRT] [error] the moon is full"], "run"),
        (["something failed", "OddError: x"], None),
    ):
        assert read_log(lines).ran().stage == stage
    (finding,) = read_log(optimize).findings()
    assert (finding.id, finding.severity, finding.stage) == ("U01", "unknown", "optimize")
    assert "Mixed Precision" in finding.cause


@pytest.mark.parametrize(
    ("lines", "step", "done"),
    [
        (["[info] Starting Model Optimization", "[info] Starting LayerNorm Decomposition"],
         "LayerNorm Decomposition", False),
        (["[info] Starting LayerNorm Decomposition",
          "[info] Model Optimization Algorithm LayerNorm Decomposition is done (completion time)"],
         "LayerNorm Decomposition", True),
        (["[info] Starting Model Optimization", "[info] Starting Statistics Collector",
          "[info] Model Optimization Algorithm Statistics Collector is done (completion time)",
          "[info] Model Optimization is done"], "Model Optimization", True),
        (["[info] Building HEF..."], "Building HEF", False),
        (["hello"], None, None),
    ],
)  # fmt: skip
def test_a_log_that_stops_early_names_the_step_that_was_not_finished(
    lines: list[str], step: str | None, done: bool | None
) -> None:
    ran = read_log(lines).ran()
    assert (ran.step, ran.step_done) == (step, done)


def test_start_nodes_are_not_proposed_as_end_nodes() -> None:
    lines = [
        "ParsingWithRecommendationException: Parsing failed. The errors found in the graph are:",
        " UnsupportedGatherLayerError in op /0/Gather: Can't find index",
        "Please try to parse the model again, using these {} node names: /1/Relu",
    ]
    for kind in ("start", "end"):
        (finding,) = read_log([line.format(kind) for line in lines]).findings()
        assert finding.id == "P04"
        assert f"{kind}_nodes: [/1/Relu]" in str(finding.recipe)


def test_nothing_known_and_nothing_decisive_ends_well_with_the_lines_that_may_matter(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "x.log"
    log.write_text(
        "start\nwarning: the moon is nearly full\nthe tide failed to come\ncannot see stars\n"
        "a wave was lost\nall is well\n"
    )
    assert run(["explain", str(log)]) == 0
    out = capsys.readouterr().out
    assert "Nothing known was found" in out
    assert "line 3: the tide failed to come" in out
    assert "line 4: cannot see stars" in out
    assert "line 5: a wave was lost" in out
    assert "moon" not in out
    assert run(["explain", str(log), "--json"]) == 0
    notable = json.loads(capsys.readouterr().out)["notable"]
    assert [one["line"] for one in notable] == [3, 4, 5]


@pytest.mark.parametrize(
    ("lines", "first"),
    [
        # What was announced, before the words of who announces it.
        (
            ["Hi", "I wait for the moon and get this error:", "```", "$ tide --in", "",
             "The ebb took all of it", "```", "Thanks, I cannot go on"],
            "The ebb took all of it",
        ),
        (
            ["it prints the following message:", "the harbour of the north", "no such wave"],
            "no such wave",
        ),
        # A key of a file announces nothing.
        (["output: error:", "the harbour", "no such wave"], "no such wave"),
        # A message in another language, by the marks of the shell that prints it.
        (
            ["I'm getting this error, any idea?", "+ CategoryInfo : SecurityError: (:) []"],
            "+ CategoryInfo : SecurityError: (:) []",
        ),
    ],
)  # fmt: skip
def test_what_a_program_printed_comes_before_what_its_user_tells(
    lines: list[str], first: str
) -> None:
    assert read_log(lines).notable()[0][2] == first


def test_advice_is_no_fact() -> None:
    log = read_log(
        [
            "[info] Using default optimization level of 2",
            "[info] To obtain best accuracy it is recommended to set the optimization level to 4",
        ]
    )
    assert log.ran().level_asked == 2
    assert {one.severity for one in log.findings()} == {"info"}


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("cp: erro ao escrever 'x': Não há espaço disponível no dispositivo", "S18"),
        ("cp: error al escribir 'x': No queda espacio en el dispositivo", "S18"),
        ("cp: erreur d'écriture de 'x': Aucun espace disponible sur le périphérique", "S18"),
        ("bash: ./compile.sh: Permiso denegado", "G623"),
        ("bash: ./compile.sh: Permissão negada", "G623"),
        ("bash: ./compile.sh: Permission non accordée", "G623"),
        ("ssh: connect to host pi port 22: Conexión rehusada", "H06"),
        ("ssh: connect to host pi port 22: Conexão recusada", "H06"),
        ("ssh: connect to host pi port 22: Connexion refusée", "H06"),
    ],
)
def test_what_the_system_says_in_other_languages(line: str, name: str) -> None:
    assert told(line) == {name: "fatal"}


def test_a_host_key_that_changed_is_a_question_of_security() -> None:
    found = read_log(
        ["@  WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!  @", "Host key verification failed."]
    ).findings()
    assert [one.id for one in found] == ["H08"]
    assert "security" in found[0].cause


def test_the_newer_lines_compiler_is_understood() -> None:
    ran = read_log(
        [
            "[info] Hailo HW architecture: hailo10h",
            "[info] No GPU chosen, selecting least used GPU",
        ]
    ).ran()
    assert (ran.arch, ran.gpu) == ("hailo10h", None)
    assert read_log(["[info] Selected GPU: 0"]).ran().gpu is True


def test_an_empty_log_is_answered(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("")
    assert explain_logs([log], io.BytesIO()).notable == []


def test_a_library_of_hailort_that_python_lacks_is_named_as_hailorts() -> None:
    missing = "error while loading shared libraries: libhailort.so.4.20.0: cannot open shared"
    missing += " object file: No such file or directory"
    assert told(f"python3: {missing}") == {"R10": "fatal"}
    assert told(f"frigate: {missing}") == {"R44": "fatal"}


def test_a_driver_that_stops_with_22_is_the_wrong_one_only_where_the_card_is_seen() -> None:
    stopped = "[   12.4] hailo1x 0001:01:00.0: probe with driver hailo1x failed with error -22"
    assert told(stopped) == {"R55": "fatal", "R36": "possible"}
    assert told(stopped.replace("probe", "1e60:2864 probe")) == {"R36": "fatal"}


SCRIPT_GONE = "./run_tests.sh: line 8: setup_env.sh: No such file or directory"
MODULE_GONE = "E   ModuleNotFoundError: No module named 'hailo'"
NAME_GONE = "curl: (6) Could not resolve host: files.example"
KEY_GONE = "gpg: no valid OpenPGP data found."
PORT_TAKEN = "OSError: [Errno 98] Address already in use"


@pytest.mark.parametrize(
    ("lines", "asserted"),
    [
        ([SCRIPT_GONE, "Collecting pytest", MODULE_GONE], "M31"),
        ([NAME_GONE, KEY_GONE], "G06"),
        ([KEY_GONE, NAME_GONE], "M590"),
        ([PORT_TAKEN, "", SCRIPT_GONE], "M31"),
        ([NAME_GONE, "all tried again", PORT_TAKEN], "G06"),
    ],
)
def test_of_several_failures_the_first_asserts_and_a_known_one_hides_a_plain_one(
    lines: list[str], asserted: str
) -> None:
    found = told("\n".join(lines))
    assert [name for name, severity in found.items() if severity == "fatal"] == [asserted]


def test_both_causes_of_a_run_stay_where_none_lets_the_other_fail() -> None:
    found = told(
        "[HailoRT] [error] CHECK failed - Driver version (4.20.0) is different from library "
        "version (4.21.0)\n"
        "ERROR: *** no cameras available ***"
    )
    assert found == {"R03": "fatal", "V01": "fatal"}


def test_the_users_code_in_a_traceback_is_no_message() -> None:
    found = told(
        "Traceback (most recent call last):\n"
        '  File "opt.py", line 22, in <module>\n'
        "    runner.optimize(calib_dataset)\n"
        "LookupError: the second part was not found"
    )
    assert "C10" not in found, found


_IN_OPTIMISER = "/v/lib/python3.10/site-packages/hailo_model_optimization/flows/flow.py"


def test_whose_code_raised_decides_what_a_bare_error_means() -> None:
    begin = "Traceback (most recent call last):"
    inside = [begin, f'  File "{_IN_OPTIMISER}", line 9, in run', "KeyError: 'meta'"]
    below = [*inside[:2], '  File "/home/me/feed.py", line 3, in images', "KeyError: 'meta'"]
    assert [one.id for one in read_log(inside).findings()] == ["O60"]
    assert [one.id for one in read_log(below).findings()] == ["G23"]


@pytest.mark.parametrize(
    "frame",
    [
        [f'  File "{_IN_OPTIMISER}", line 9, in run'],
        [f'  File "{_IN_OPTIMISER}"', ", line 9, in run"],
        ["  File", f'"{_IN_OPTIMISER}",', "line 9, in run"],
        [f"│ {_IN_OPTIMISER}:9 in run        │", "│ ❱ 9 │   meta = self.config['meta'] │"],
    ],
    ids=["plain", "cut at the line", "cut at each word", "drawn by rich"],
)
def test_a_frame_is_read_in_whatever_form_it_stands(frame: list[str]) -> None:
    log = ["Traceback (most recent call last):", *frame, "    KeyError: 'meta'"]
    assert [one.id for one in read_log(log).findings()] == ["O60"]


def test_a_message_below_the_name_of_its_exception_is_shown_with_it() -> None:
    log = [
        "Traceback (most recent call last):", '  File "x.py", line 1, in <module>',
        "acme.errors.ResourceError:", "the bucket is wet and the rope is short",
    ]  # fmt: skip
    (found,) = read_log(log).findings()
    assert found.id == "U01"
    assert "the bucket is wet" in found.cause


@pytest.mark.parametrize(
    "said",
    [
        "I already fixed the HAILO_OUT_OF_PHYSICAL_DEVICES error by ending the other process.",
        "I have no 'Firmware file not found' in dmesg.",
        "Others had 'no element \"hailonet\"', I don't.",
        "I get HAILO_OUT_OF_PHYSICAL_DEVICES without the card, that is expected.",
        "- [x] I have read what HAILO_OUT_OF_PHYSICAL_DEVICES means",
    ],
)
def test_what_a_person_says_is_over_or_of_others_is_no_evidence(said: str) -> None:
    assert told(said) == {}


@pytest.mark.parametrize(
    "said",
    [
        "I fixed the driver mismatch and now get HAILO_OUT_OF_PHYSICAL_DEVICES(74).",
        "After I resolved the camera it says HAILO_OUT_OF_PHYSICAL_DEVICES(74) and stops.",
        "Does anybody know why I get HAILO_OUT_OF_PHYSICAL_DEVICES(74)?",
        "I had no luck. It prints HAILO_OUT_OF_PHYSICAL_DEVICES(74).",
    ],
)
def test_what_a_person_says_comes_now_is_evidence(said: str) -> None:
    assert told(said) == {"R08": "fatal"}


@pytest.mark.parametrize(
    "said",
    [
        "If I remove the card I get HAILO_OUT_OF_PHYSICAL_DEVICES as expected.",
        "Expected: boxes, or an error like HAILO_OUT_OF_PHYSICAL_DEVICES.",
    ],
)
def test_what_a_person_may_only_mention_is_possible(said: str) -> None:
    assert told(said)["R08"] == "possible"


def test_the_failure_that_came_after_the_solved_one_is_the_one_asked_about() -> None:
    first = "[HailoRT] [error] CHECK failed - Driver version (4.20.0) is different from library"
    first += " version (4.19.0)"
    then = "HEF format is not compatible with device. Device arch: HAILO8L, HEF arch: HAILO8"
    turned = told(f"{first}\nThat was solved by an update. Now comes another error:\n{then}")
    assert turned == {"R01": "fatal", "R03": "info"}
    assert told(f"{first}\nEDIT: this is solved now.")["R03"] == "fatal"


def test_what_a_report_tells_beside_its_failure_is_possible_where_that_is_known() -> None:
    missing = 'no element "hailonet"'
    tried = f"### What I tried\n\n{missing}\n"
    assert told(tried) == {"V03": "fatal"}
    log = "\n## Log\n\nHEF format is not compatible with device. Device arch: HAILO8L, HEF arch:"
    assert told(f"{tried}{log} HAILO8") == {"R01": "fatal"}
    assert told(f"{tried}{log} HAILO8\n{missing}") == {"R01": "fatal", "V03": "fatal"}


def test_a_card_that_answers_makes_no_other_program_one_of_hailort() -> None:
    raised = "AttributeError: 'list' object has no attribute 'shape'"
    assert told(f"$ hailortcli fw-control identify\n{raised}")["R15"] == "possible"
    assert told(f"[HailoRT] [info] x\n{raised}")["R15"] == "fatal"


def test_a_quotation_is_read_without_its_marks() -> None:
    listing = '> usage: run.py\n> # no element "hailonet" means that the plug-in is missing'
    assert told(listing) == {}


def test_the_reason_of_a_step_is_a_programs_word_and_no_greeting() -> None:
    greeting = "Hello there, i am not sure if anyone has ever encountered this error"
    step = "error: command '/usr/bin/gcc' failed with exit code 1"
    said = "zorb: fatal error: the table is corrupted"
    for lines, quoted in (([greeting, step], False), ([greeting, said, step], True)):
        told = next(one.cause for one in read_log(lines).findings() if one.id == "G78")
        assert "Hello" not in told
        assert ("the table is corrupted" in told) == quoted


def test_an_unfinished_traceback_ends_at_the_same_line_whether_lines_behind_it_are_read() -> None:
    frame = '  File "onnx_translator/onnx_graph.py", line 4336, in convert_axes'
    covered = []
    for read_all in (True, False):
        traces = Tracebacks()
        traces.feed(1, frame, frame.strip())
        for number in range(2, 10):
            if read_all or traces.waits:
                traces.feed(number, "the tide comes in", "the tide comes in")
        covered.append([traces.inner_at(number) != "" for number in range(1, 10)])
    assert covered[0] == covered[1]
    assert (covered[0][0], covered[0][-1]) == (True, False)


@pytest.mark.parametrize(
    ("log", "named"),
    [
        (
            ["$ podman compose up", "Error response from daemon: the flux capacitor is named twice",
             "Error: executing /usr/bin/docker-compose up: exit status 1"],
            "Error response from daemon: the flux capacitor is named twice",
        ),
        (["$ build", "error: it exited with code 3"], "error: it exited with code 3"),
    ],
)  # fmt: skip
def test_an_unknown_failure_is_told_by_its_reason_and_not_by_the_status_that_passes_it_on(
    log: list[str], named: str
) -> None:
    (found,) = read_log(log).findings()
    assert found.id == "U01"
    assert found.text == named
