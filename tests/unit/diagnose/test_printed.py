"""The text that another end printed is read out of the number that a program took it for."""

from __future__ import annotations

import pytest

from orchestrator.diagnose.log_reader import read_log
from orchestrator.diagnose.printed import signs_of


@pytest.mark.parametrize(
    ("number", "order", "text"),
    [
        (1416128883, "big", "This"),
        (1668048215, "little", "Welc"),
        (1868854643, "little", "sudo"),
        (31, "little", ""),
        (1 << 40, "big", ""),
        (0x0A0D0A0D, "big", ""),
        # Blanks of a banner show nothing; what stands behind the end of a line is the next one.
        (0x20202020, "big", ""),
        (0x48690A57, "big", "Hi"),
    ],
)
def test_four_signs_are_read_from_a_number(number: int, order: str, text: str) -> None:
    assert signs_of(number, order) == text  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("Received message too long 1416128883", '"This"'),
        ("(Client) Protocol versions: remote=1668048215, negotiated=32", '"Welc"'),
    ],
)
def test_the_cause_names_what_was_printed(line: str, text: str) -> None:
    (found,) = read_log([line]).findings()
    assert found.id == "H554"
    assert text in found.cause


def test_a_number_that_is_no_text_is_not_named() -> None:
    (found,) = read_log(["Received message too long 4"]).findings()
    assert "begins with" not in found.cause


def test_rsync_over_a_terminal_is_not_the_shells_fault() -> None:
    lines = [
        "(Client) Protocol versions: remote=1685418843, negotiated=32",
        "protocol version mismatch -- is your shell clean?",
    ]
    assert [one.id for one in read_log(lines).findings()] == ["H1300"]
