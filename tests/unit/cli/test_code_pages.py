"""Output where the console, a pipe or a file has 256 characters: Windows without UTF-8."""

from __future__ import annotations

import io
import json
import sys

import pytest

from orchestrator.cli import app
from orchestrator.cli.output import emit_json, says_everything, speak_plainly


@pytest.mark.parametrize(
    ("encoding", "everything"),
    [
        # What Python calls the streams of Windows: a console, a pipe in western Europe, one in
        # a shell of the old code page, one with PYTHONUTF8.
        ("utf-8", True), ("UTF8", True), ("utf_8", True), ("utf-8-sig", True),
        ("cp1252", False), ("cp437", False), ("cp932", False), ("ascii", False), (None, False),
    ],
)  # fmt: skip
def test_code_pages_are_known(encoding: str | None, everything: bool) -> None:
    assert says_everything(encoding) is everything


def stream(encoding: str, errors: str = "strict") -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors=errors)


def test_what_a_code_page_lacks_is_escaped_and_nothing_else() -> None:
    for encoding, errors in (("cp437", "backslashreplace"), ("utf-8", "strict")):
        one = stream(encoding)
        speak_plainly(one)
        assert one.errors == errors
        one.write("Gr\xfc\xdfe")
    locale_c = stream("ascii", "surrogateescape")
    speak_plainly(locale_c)
    assert locale_c.errors == "backslashreplace"
    chosen = stream("cp437", "ignore")
    speak_plainly(chosen)
    assert chosen.errors == "ignore", "the user's own choice"
    speak_plainly(io.StringIO())


def test_json_stays_json(monkeypatch: pytest.MonkeyPatch) -> None:
    document = {"name": "\u6a21\u578b \xe9 \U0001f600"}
    for encoding in ("cp437", "cp1252", "utf-8"):
        out = stream(encoding)
        monkeypatch.setattr(sys, "stdout", out)
        speak_plainly(out)
        emit_json(document)
        buffer = out.buffer
        assert isinstance(buffer, io.BytesIO)
        assert json.loads(buffer.getvalue().decode(encoding)) == document


def test_json_holds_nothing_that_a_terminal_obeys(monkeypatch: pytest.MonkeyPatch) -> None:
    document = {"said": "\x1b[31m \x9d0;title\x9c \u202e \u2066 \u2028 \ud800 \U000e0041 \xe9"}
    out = stream("utf-8")
    monkeypatch.setattr(sys, "stdout", out)
    emit_json(document)
    buffer = out.buffer
    assert isinstance(buffer, io.BytesIO)
    text = buffer.getvalue().decode("utf-8")
    assert json.loads(text) == document
    assert {sign for sign in text if not sign.isprintable()} == {"\n"}


def test_a_name_that_the_code_page_lacks_is_told_in_one_document(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    out = stream("cp437")
    monkeypatch.setattr(sys, "stdout", out)
    assert app.run(["up", "\u6a21\u578b", "--json"]) == 2
    out.flush()
    buffer = out.buffer
    assert isinstance(buffer, io.BytesIO)
    assert "\u6a21\u578b" in json.loads(buffer.getvalue().decode("cp437"))["error"]["message"]
