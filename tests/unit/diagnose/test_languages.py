"""What the system says on machines of other languages is understood as in English.

The expected sentences come from the message catalogues themselves, where they are installed.
"""

from __future__ import annotations

import gettext
import re
from pathlib import Path

import pytest

from orchestrator.diagnose.log_reader import read_log
from orchestrator.diagnose.words.languages import sentences, to_english
from orchestrator.diagnose.words.sentences import ALONE, FORMED, SYSTEM
from orchestrator.diagnose.words.sentences_media import MEDIA
from orchestrator.diagnose.words.sentences_tools import TOOLS

LANGUAGES = ("de", "es", "fr", "pt", "pt_BR")
#: A line as ssh, a shell or Python print it, with %s for the system's words -> the cause.
SITUATIONS = {
    "No space left on device": ("scp: /home/pi/net.hef: %s", {"H02", "S18"}),
    "Permission denied": ("bash: /home/pi/run.sh: %s", {"G02"}),
    "Connection refused": ("ssh: connect to host pi5 port 22: %s", {"H06"}),
    "No such file or directory": ("ls: /data/calib/one.npy: %s", {"G01"}),
    "No route to host": ("ssh: connect to host pi5 port 22: %s", {"H06"}),
    "Network is unreachable": ("ssh: connect to host pi5 port 22: %s", {"H06"}),
    "Connection timed out": ("ssh: connect to host pi5 port 22: %s", {"H06"}),
    "Name or service not known": ("ssh: Could not resolve hostname pi5: %s", {"H06", "G06"}),
    "Temporary failure in name resolution": ("curl: host pi5: %s", {"G06"}),
    "Cannot allocate memory": ("bash: fork: %s", {"S26"}),
    "Read-only file system": ("touch: /home/pi/x: %s", {"G13", "H07"}),
    "Disk quota exceeded": ("cp: /home/pi/x: %s", {"S18"}),
    "Address already in use": ("OSError: [Errno 98] %s", {"G10"}),
    "Too many open files": ("OSError: [Errno 24] %s", {"G15"}),
    "Exec format error": ("exec /bin/sh: %s", {"S38"}),
}
WORDS = {"{1}": "/dev/video0", "{2}": "v4l2src0", "{3}": "640x480"}
#: Sentences of the catalogues in small letters, for machines without them.
KNOWN = {
    one: english
    for table in (SYSTEM, ALONE)
    for english, others in table.items()
    for one in others
}  # fmt: skip


def _said(language: str, english: str) -> str | None:
    catalogue = Path(f"/usr/share/locale/{language}/LC_MESSAGES/libc.mo")
    if not catalogue.is_file():
        return None
    with catalogue.open("rb") as file:
        said = gettext.GNUTranslations(file).gettext(english)
    return None if said == english else said


@pytest.mark.parametrize("english", SITUATIONS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_situation_is_explained_in_every_language(language: str, english: str) -> None:
    said = _said(language, english)
    if said is None:
        pytest.skip("this machine has no catalogue of that language")
    line, causes = SITUATIONS[english]
    told = {one.id for one in read_log([line % said]).findings() if one.severity == "fatal"}
    expected = {one.id for one in read_log([line % english]).findings() if one.severity == "fatal"}
    assert told == expected, said
    assert told & causes, (said, told)


@pytest.mark.parametrize("sentence", KNOWN)
def test_a_sentence_of_the_table_is_understood(sentence: str) -> None:
    # Programs of the desktop draw the apostrophe in their own way.
    for written in (sentence, sentence.capitalize(), sentence.replace("'", "\u2019")):
        assert KNOWN[sentence] in to_english(f"programa: {written}"), written


def test_words_within_a_sentence_are_left_as_they_are() -> None:
    for line in (
        "o processo foi morto ontem",
        "die Messung wurde abgebrochen, weiter mit der nächsten",
    ):
        assert to_english(line) == line


def test_a_package_that_apt_does_not_find_is_named_in_every_language() -> None:
    assert {one for others in FORMED.values() for one in others} <= set(sentences())
    for english, others in FORMED.items():
        for sentence in others if "ackage" in english else ():
            said = sentence.removeprefix("e: ").replace("%s", "hailo-all").capitalize()
            found = read_log([f"E: {said}"]).findings()
            assert "R09" in {one.id for one in found}, sentence


def test_a_node_that_ls_does_not_find_is_named_in_every_language() -> None:
    for sentence in FORMED["cannot access %s"]:
        said = sentence.replace("%s", "'/dev/hailo0'").capitalize()
        found = read_log([f"ls: {said}: No such file or directory"]).findings()
        assert "R33" in {one.id for one in found}, sentence


def test_the_space_before_a_french_colon_is_no_part_of_the_name() -> None:
    line = "bash: hailortcli\u00a0: commande introuvable"
    assert to_english(line) == "bash: hailortcli: command not found"


@pytest.mark.parametrize("english", MEDIA | TOOLS)
def test_a_sentence_of_a_program_is_understood_with_its_words(english: str) -> None:
    for sentence in (MEDIA | TOOLS)[english]:
        for before, after in (("'", "'"), ("»", "«"), ("« ", " »"), ("\u201c", "\u201d")):
            said = re.sub(r"'(\{\d\})'", rf"{before}\1{after}", sentence)
            expected = english
            for place, word in WORDS.items():
                said, expected = said.replace(place, word), expected.replace(place, word)
            assert expected in to_english(f"programa: {said}"), said


def test_words_of_a_person_are_no_sentence_of_a_program() -> None:
    for line in (
        "ich habe kein Element gefunden, das passt",
        "no hay un elemento en la lista",
        "a câmera não tem nenhum elemento preto",
    ):
        assert to_english(line) == line


def test_a_pipeline_without_its_element_is_told_in_every_language() -> None:
    for sentence in MEDIA["no element {1}"]:
        said = sentence.replace("{1}", "libcamerasrc")
        found = read_log([f"(gst-launch-1.0:1): {said}"]).findings()
        assert "V04" in {one.id for one in found}, sentence
