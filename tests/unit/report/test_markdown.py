"""A report as Markdown: the table of verdicts, and nothing of it is markup by accident."""

from __future__ import annotations

import re

from hefsmith_worker.contract.findings import Finding

from orchestrator.report.markdown import Section, plain, render
from orchestrator.report.model import Cause, Check, Fault, Verdict

CHECK = Check(measure="agreement", step="device", value=0.5, limit=0.9, passed=False)


def section(
    name: str = "net hailo8l", *, passed: bool = True, fault: Fault | None = None
) -> Section:
    verdict = Verdict(
        passed=passed, task="other", samples=8, labelled=False, origin="calibration",
        reference="onnx", final="device", checks=() if passed else (CHECK,), steps=(),
        fault=fault, emulated=True,
    )  # fmt: skip
    findings = [Finding("calib.few", "warning", "8 | images", "Give `64`.", None, None)]
    steps = [["step", "cosine"], ["ONNX", "1.0"], ["device", "0.9"]]
    return Section(name, "emulator (emulated)", True, verdict, steps, findings, 38_000)


def test_each_build_has_a_line_and_what_failed_is_open() -> None:
    fault = Fault(
        step="sdk_quantized", measure="cosine", reason="it falls",
        causes=(Cause(text="Too few pictures", advice="Give 1024."),),
    )  # fmt: skip
    text = render([section(), section("bad hailo8", passed=False, fault=fault)])
    assert "| net hailo8l | passed | 38 kB | 1 |" in text
    assert "| bad hailo8 | failed | 38 kB | 1 |" in text
    assert "<details><summary>net hailo8l: passed" in text
    assert "<details open><summary>bad hailo8: failed" in text
    assert "- failed: top-1 agreement with the float model is 0.5, at least 0.9 is asked" in text
    assert "- Too few pictures. Give 1024." in text
    assert "| device | 0.9 |" in text
    assert "No number here is a measure of a chip" in text


def test_names_and_messages_are_no_markup() -> None:
    text = render([section("<img src=x onerror=1>|`x`\n# y")])
    assert not re.search(r"(?<!\\)<img", text)
    assert "\n# y" not in text
    assert "8 \\| images" in text
    assert plain("a|b`c`") == "a\\|b\\`c\\`"
    assert "\x1b" not in plain("\x1b")


def test_what_is_not_built_has_a_line_too() -> None:
    text = render([section()], ["other hailo8"])
    assert "| other hailo8 | not built | - | - |" in text
    assert "There is no model yet." in render([])
    assert "| build |" not in render([])
