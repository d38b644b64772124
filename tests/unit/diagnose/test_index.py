"""The index of the list answers fast, and as a search of each pattern on its own would."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from orchestrator.diagnose.catalogue import Alternative
from orchestrator.diagnose.index import Found, Index
from orchestrator.diagnose.log_reader import read_log

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.mark.parametrize(
    ("pattern", "text", "captured"),
    [
        (r"no module named (?P<module>\w+)", "No module named PIL", {"module": "PIL"}),
        (r"name (?P<name>(?-i:VDevice|HEF)) is", "NAME VDevice IS", {"name": "VDevice"}),
        (r"name (?P<name>(?-i:VDevice|HEF)) is", "name vdevice is", None),
        (r"(?P<name>[a-z]+)(?: (?P<more>\S+))?$", "Name", {"name": "Name"}),
        (r"stra(?:\u00df)e (?P<one>\w+)", "STRA\u00dfE X", {"one": "X"}),
        (r"file (?P<one>\S+) fails", "FILE \u0130a.hef Fails", {"one": "\u0130a.hef"}),
        (r"(?P<one>\S+)\s", "A \u00e9", {"one": "A"}),
        (r"Q\w+", "qa", {}),
        (r"never", "other", None),
    ],
)
@pytest.mark.parametrize("lowered", [True, False])
def test_the_case_of_letters_matters_only_where_a_pattern_says_so(
    pattern: str, text: str, captured: dict[str, str] | None, *, lowered: bool
) -> None:
    lower = text.lower() if lowered and text.isascii() else None
    assert Alternative((pattern,)).search(text, lower) == captured
    plain = re.search(pattern, text, re.IGNORECASE)
    assert (plain is None) == (captured is None)


def test_each_of_many_exceptions_is_searched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    search = Index._search

    def counted(index: Index, text: str) -> Iterator[Found]:
        asked.append(text)
        return search(index, text)

    monkeypatch.setattr(Index, "_search", counted)
    names = [f"q{one}{two}w" for one in "abcdefgh" for two in "ijklmnop"]
    read_log([f"ValueError: the stream {name} of the network failed" for name in names])
    assert len(names) / 2 < len(asked) <= len(names)


def test_what_two_exceptions_say_together_is_no_message() -> None:
    log = ["OSError: no such file or directory", "RuntimeError: what /dev/hailo0 holds is unknown"]
    assert "R33" not in {one.id for one in read_log(log).findings() if one.severity == "fatal"}
