"""What a worker writes is what the host reads, and nothing that is not right gets through."""

from __future__ import annotations

import io
import json
from dataclasses import fields
from typing import Any

import pytest
from hefsmith_worker.contract import events
from hefsmith_worker.contract.events import (
    Artifact,
    Done,
    Event,
    Hello,
    Interrupted,
    Log,
    Message,
    Progress,
    StageFailed,
    StageFinished,
    StageStarted,
    Written,
    read_line,
)
from hefsmith_worker.contract.findings import ContractError, Finding
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import StageFailed as BuildFailed
from orchestrator.pipeline.events import EventReader
from orchestrator.pipeline.observer import Silent

SHA = "0f" * 32

EXAMPLES: tuple[Event, ...] = (
    Hello(1, "3.10.12", "x86_64", 7, "/usr/bin/python"),
    StageStarted(),
    Progress(3, 0, "images"),
    Finding("calib.few", "warning", "8 of 64", "Add more.", 64, 8, ("a.png",), "export", 3, 1),
    Written("golden/inputs/0.npy", 1 << 40),
    Artifact("onnx", "model.onnx", SHA, 5),
    StageFinished(1.5, {"opset": 13, "nested": {"list": [1, None]}}, 2),
    StageFailed(
        "ValueError", "no", known="memory", fix="Give more.", traceback="...", signal="KILL"
    ),
    StageFailed("ValueError", "no"),
    Interrupted("signal"),
    Done(0.0),
    Log("é \u2028 [info]"),
)


def test_there_is_an_example_of_every_event() -> None:
    assert {type(one) for one in EXAMPLES} == set(events._BY_NAME.values())


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda one: type(one).__name__)
def test_what_is_written_is_read_again(event: Event) -> None:
    message = Message(event, "export", 12.5)
    line = message.to_line()
    assert line.count(b"\n") == 1
    assert read_line(line.decode()) == message


def document(event: Event) -> dict[str, Any]:
    return Message(event, "export", 1.0).to_json()


@pytest.mark.parametrize(
    ("event", "changed", "said"),
    [
        (EXAMPLES[5], {"sha256": "x"}, "sha256 is not a sha256"),
        (EXAMPLES[5], {"sha256": SHA.upper()}, "sha256"),
        (EXAMPLES[5], {"path": "../../etc/passwd"}, "path is not a path below the work folder"),
        (EXAMPLES[5], {"path": "/etc/passwd"}, "path"),
        (EXAMPLES[5], {"path": "a//b"}, "path"),
        (EXAMPLES[5], {"path": "C:\\x"}, "path"),
        (EXAMPLES[5], {"path": "a" * 5000}, "path has more than 4096 characters"),
        (EXAMPLES[5], {"bytes": -1}, "bytes is not a count"),
        (EXAMPLES[5], {"bytes": True}, "bytes is not a count"),
        (EXAMPLES[5], {"bytes": 1 << 60}, "bytes is not a count"),
        (EXAMPLES[5], {"stage": None}, "stage is missing"),
        (EXAMPLES[5], {"stage": 3}, "stage is not a text"),
        (EXAMPLES[5], {"role": None, "sha256": None}, "role is not a text; .*sha256"),
        (EXAMPLES[2], {"done": "3"}, "done is not a count"),
        (EXAMPLES[2], {"t": "noon"}, "t is not a time"),
        (EXAMPLES[6], {"seconds": float("nan")}, "seconds is not a number of seconds"),
        (EXAMPLES[6], {"result": [1]}, "result is not an object"),
        (EXAMPLES[7], {"class": None}, "class is not a text"),
        (EXAMPLES[7], {"fix": 3}, "fix is not a text"),
        (EXAMPLES[3], {"severity": "fatal"}, "severity 'fatal' is not one of error, warning"),
        (EXAMPLES[3], {"message": ["x"]}, "message is a text, not list"),
        (EXAMPLES[3], {"message": "x" * 200_000}, "message has more than 100000 characters"),
        (EXAMPLES[3], {"files": "a.png"}, "files are a list"),
        (EXAMPLES[3], {"line": -1}, "line is a number"),
    ],
)
def test_a_malformed_event_is_one_clear_error(
    event: Event, changed: dict[str, Any], said: str
) -> None:
    line = json.dumps({**document(event), **changed})
    with pytest.raises(ContractError, match=said):
        read_line(line)
    reader = EventReader(Silent(), io.StringIO())
    with pytest.raises(BuildFailed, match=said) as caught:
        reader.feed(line)
    assert caught.value.code == "worker.event"
    assert caught.value.hint


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda one: type(one).__name__)
def test_no_field_that_is_needed_may_be_missing(event: Event) -> None:
    needed = {"code", "severity", "message"} if isinstance(event, Finding) else {
        events._SPELLED.get(one.name, one.name) for one in fields(event) if one.default is not None
    }  # fmt: skip
    for name in needed:
        short = {key: value for key, value in document(event).items() if key != name}
        with pytest.raises(ContractError, match=name):
            read_line(json.dumps(short))


@pytest.mark.parametrize(
    "line", ["", "hello", "{", "{}", '{"event": 3}', '["event"]', "{" * 5000, '{"a": ' * 50_000]
)
def test_what_is_no_event_was_printed(line: str) -> None:
    assert read_line(line) is None
    log = io.StringIO()
    EventReader(Silent(), log).feed(line)
    assert log.getvalue().endswith(f"{line}\n")


def test_a_newer_workers_event_means_nothing() -> None:
    line = json.dumps({"event": "applause", "stage": "export", "loud": True})
    assert read_line(line) == Message(None, "export", 0.0)
    reader = EventReader(Silent(), io.StringIO())
    reader.feed(line)
    assert (reader.stages, reader.failure, reader.done) == ({}, None, False)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


_FIELDS = [
    *("stage", "t", "done", "total", "unit", "path", "bytes", "role", "sha256", "seconds"),
    *("result", "class", "message", "why", "line", "code", "severity", "fix", "files", "schema"),
    *("python", "machine", "pid", "executable", "known", "traceback", "signal", "asked"),
]


@pytest.mark.slow
@given(st.sampled_from(sorted(events._BY_NAME)), st.dictionaries(st.sampled_from(_FIELDS), _JSON))
def test_whatever_an_event_holds_it_is_right_or_refused(name: str, values: dict[str, Any]) -> None:
    try:
        message = read_line(json.dumps({"event": name, **values}))
    except ContractError:
        return
    assert message is not None
    assert read_line(message.to_line().decode()) is not None
