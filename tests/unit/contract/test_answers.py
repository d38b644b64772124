"""What small functions of the contract answer, to the letter and at their limits."""

from __future__ import annotations

import pytest
from hefsmith_worker.contract import addresses, commands, events
from hefsmith_worker.contract.enough import too_few
from hefsmith_worker.contract.findings import WARNING
from hefsmith_worker.contract.known import KNOWN, KnownSettings
from hefsmith_worker.contract.options import IMAGES_OF_LEVEL


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("ssh://me:secret@far:22/x", "ssh://me:***@far:22/x"),
        ("https://token@far/x", "https://***@far/x"),
        ("http://me:pa:ss@far", "http://me:***@far"),
        # Taken for paths, which leaves one slash.
        ("no ssh:/me:secret@far/x here", "no ssh:/me:***@far/x here"),
        ("no https:/token@far/x here", "no https:/***@far/x here"),
        ("HTTP:/token@far", "HTTP:/***@far"),
        ("ssh:/me@far and me:x@far", "ssh:/me@far and me:x@far"),
        ("https://far/x?a=1&X-Amz-Signature=ab12&b=2", "https://far/x?a=1&X-Amz-Signature=***&b=2"),
    ],
)
def test_a_message_shows_no_secret_of_an_address(text: str, safe: str) -> None:
    assert addresses.hidden(text) == safe


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("ssh://me:secret@far:22/x", "ssh://me:***@far:22/x"),
        ("https://token@far/x?y=1 is not there", "https://***@far/x?*** is not there"),
        ("s3://bucket/x#part", "s3://bucket/x?***"),
        ("what? no address: me@far", "what? no address: me@far"),
    ],
)
def test_an_address_is_shown_without_its_secrets(text: str, safe: str) -> None:
    assert addresses.shown(text) == safe


def test_a_choice_among_words_is_a_word_and_takes_those() -> None:
    made = commands._one("bilinear", "nearest_neighbor")
    assert made == commands.Argument(commands.WORD, frozenset({"bilinear", "nearest_neighbor"}))
    assert commands.COMMANDS["resize"].keyword["resize_method"] == made


@pytest.mark.parametrize(("level", "wanted"), IMAGES_OF_LEVEL.items())
def test_pictures_are_too_few_below_what_the_level_works_with(level: int, wanted: int) -> None:
    assert too_few(level, wanted) is None
    if wanted:
        found = too_few(level, wanted - 1)
        assert found is not None
        assert (found.code, found.severity) == ("calib.count.level", WARNING)
        assert (found.asked, found.got) == (str(wanted), str(wanted - 1))
        assert f"level {level} works with {wanted} images and gets {wanted - 1}: " in found.message
        assert found.fix.startswith(f"Provide {wanted} images, ")


@pytest.mark.parametrize(
    ("level", "effect"),
    [
        (1, "ranges become a guess"),
        (None, "the compiler lowers its default level to 1, or to 0 without a GPU"),
        (2, "it is trained on them all the same, and can end worse than untrained"),
    ],
)
def test_what_too_few_pictures_do_depends_on_the_level(level: int | None, effect: str) -> None:
    found = too_few(level, 10)
    assert found is not None
    assert found.message.partition(": ")[2] == effect


def test_a_text_may_be_as_long_as_its_limit() -> None:
    check = events._text(3)
    assert check("abc") is None
    assert check("abcd") == "has more than 3 characters"
    assert check(b"abc") == "is not a text"


def test_lines_of_known_settings_have_the_number_of_pictures() -> None:
    row = KnownSettings("x", "x", "x", script=("a({images}, {layers*})", "b({images}/{images})"))
    assert row.lines(512) == ("a(512, {layers*})", "b(512/512)")
    assert not any("{images}" in line for one in KNOWN for line in one.lines(64))
