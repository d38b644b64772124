"""Every known failure is found in its recorded words, in other words, and in other dress.

``examples.json`` holds lines that the vendor's tools printed (``recorded``), and ways in which
another release may say the same (``reworded``).
"""

from __future__ import annotations

import json
import re
import time
import zlib
from pathlib import Path

import pytest

from orchestrator.diagnose import compiled
from orchestrator.diagnose.catalogue import load_catalogue
from orchestrator.diagnose.compiled import COMPILED, compile_failures, expand, sources
from orchestrator.diagnose.finding import SEVERITIES
from orchestrator.diagnose.index import load_index
from orchestrator.diagnose.log_reader import VendorLog, read_log
from orchestrator.diagnose.programs import SIGNS
from orchestrator.diagnose.required import required_sets, required_words
from orchestrator.diagnose.standing import FORESEEN
from tests import corpus
from tests.unit.diagnose.variants import CHANGES

HERE = Path(__file__).resolve().parent
EXAMPLES = json.loads((HERE / "examples.json").read_text("utf-8"))
RECORDED: dict[str, list[str]] = EXAMPLES["recorded"]
REWORDED: dict[str, list[str]] = EXAMPLES["reworded"]

#: The list that this one grew from, by id; what has no words there needs none here.
ORIGINAL = {
    f"{letter}{number:02}"
    for letter, last in (("S", 33), ("E", 5), ("P", 9), ("C", 8), ("O", 15), ("K", 11), ("H", 4),
                         ("R", 22), ("A", 9))
    for number in range(1, last + 1)
}  # fmt: skip

CASES = [
    pytest.param(name, text, index, id=f"{name}-{kind}-{index}")
    for kind, known in (("recorded", RECORDED), ("reworded", REWORDED))
    for name, texts in known.items()
    for index, text in enumerate(texts)
]


#: Every message is tried as it is and in a fifth of the dresses, each in turn.
SHARE = 5


#: Entries of one loss, each with those that give a reason for it, and are told in its stead.
LEVEL = FORESEEN["calib.count.level"]
REASONS = {name: LEVEL[:place] for place, name in enumerate(LEVEL)}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "text", "index"), CASES)
def test_a_known_failure_is_found_whatever_its_dress(name: str, text: str, index: int) -> None:
    turn = (zlib.crc32(name.encode()) + index) % SHARE
    for number, (dress, change) in enumerate(CHANGES.items()):
        if number and number % SHARE != turn:
            continue
        got = {one.id: one for one in read_log(change(text).split("\n")).findings()}
        # A sentence that tells a fact and its reason is one finding, that of the reason.
        name_told = next((one for one in got if one in REASONS.get(name, ())), name)
        assert name_told in got, (dress, change(text))
        # Beside a cause that is only possible, what is plain may be said.
        plain = {one.id for one in got.values() if one.umbrella}
        others = {*got} - {name_told}
        if got[name_told].severity == "possible":
            others -= plain
        assert others == set(), (dress, change(text))


def test_every_entry_of_the_original_list_is_there_and_says_what_to_do() -> None:
    catalogue = load_catalogue()
    assert set(catalogue) >= ORIGINAL
    assert len(ORIGINAL) == 116
    names = {*catalogue, *(one[0] for one in catalogue), "*"} | {
        entry.stage for entry in catalogue.values()
    }
    for entry in catalogue.values():
        assert entry.severity in SEVERITIES
        assert entry.fault in {"machine", "model", "recipe", "vendor"} or entry.id == "U01"
        assert len(entry.cause) > 20, entry.id
        assert len(entry.remedy) > 15, entry.id
        assert entry.sources or entry.id == "U01", entry.id
        assert not (entry.umbrella and not entry.yields_to and entry.id != "U01"), entry.id
        assert set(entry.yields_to) <= names, entry.id
        assert set(entry.where) <= set(SIGNS), entry.id
        # The page of known failures shows them without a log: words for what none has captured.
        told = f"{entry.cause} {entry.remedy} {entry.confirm}"
        assert not re.search(r"\{[a-z_]+\}", told), entry.id


@pytest.mark.slow
def test_every_entry_with_words_has_a_recorded_line() -> None:
    with_words = {entry.id for entry in load_catalogue().values() if entry.match}
    computed = {"C09", "S20", "E02"}
    told = {*RECORDED, *REWORDED}.union(*(case.expected for case in corpus.load()))
    statuses = {name for name in with_words if name.startswith("T")}  # test_statuses.py
    assert with_words - told - computed - statuses == set()


VAGUE = {"T01", "T02", "T04", "T06", "T07", "T08", "T10", "T12", "T13", "T14", "T15", "T16", "T17",
         "T18", "T20", "R17", "R35",
         "G20", "G21", "G23", "G24", "G25", "G26", "G36",
         "G38", "G41", "G47", "G48", "G49", "G51", "G54"}  # fmt: skip
#: Entries that never assert.
POSSIBLE = {entry.id for entry in load_catalogue().values() if entry.severity == "possible"}


@pytest.mark.parametrize("name", sorted(set(RECORDED) - VAGUE - POSSIBLE))
def test_the_vendors_own_words_assert_and_other_words_only_suggest(name: str) -> None:
    for text in RECORDED[name]:
        found = {one.id: one.severity for one in read_log(text.split("\n")).findings()}
        reasons = [one for one in found if one in REASONS.get(name, ())]
        assert found[reasons[0] if reasons else name] != "possible", text


def test_recipe_lines_are_a_recipe() -> None:
    import yaml

    from orchestrator.diagnose.rules import fill

    sections = {"schema", "source", "inputs", "export", "preprocessing", "parser", "calibration",
                "optimization", "arch", "postprocess", "validation", "strict"}  # fmt: skip
    words = {"end_nodes": "/a/Conv, /b/Conv", "layer": "conv1", "images_given": "1339",
             "level_asked": "2", "level_run": "0", "chip": "hailo8l"}  # fmt: skip
    for known in ({}, words):
        for entry in load_catalogue().values():
            if entry.recipe:
                document = yaml.safe_load(str(fill(entry, known).recipe))
                assert set(document) <= sections, entry.id


@pytest.mark.slow
def test_the_compiled_list_is_that_of_the_file_that_people_write() -> None:
    """After a change of failures/*.yaml: python -m orchestrator.diagnose.compiled."""
    folder = Path(compiled.__file__).parent
    assert (folder / COMPILED).read_text("utf-8") == compile_failures(sources())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"remedy": None}, "entry X01 of the lists has no remedy$"),
        ({"hints": ["x"]}, "entry X01 of the lists has hints, which nothing reads"),
        ({"fault": "moon"}, "fault is one of machine, .*, not moon"),
        ({"severity": "bad"}, "severity is one of fatal, .*, not bad"),
        ({"id": None}, r"entry None of the lists has no id"),
        ({}, "in the lists twice: X01$"),
        ({"id": "X02", "over": ["X03", "X01"]}, "entry X02 names X03 in over, which no list has$"),
        ({"id": "X02", "doubts": ["X03"]}, "entry X02 names X03 in doubts, which no list has$"),
        ({"traits": ["closes", "loud"]}, "entry X01 of the lists has loud in traits, which means"),
        ({"ended_by": ["apt", "luck"]}, "entry X01 of the lists has luck in ended_by, which means"),
        ({"match": None, "beside": ["a b"]}, "has beside, and no match, hint or over"),
        (
            {"beside": ["(?P<a>word) (?P<a>other)"]},
            r"has a wording that is not a pattern: \(\?P<a>",
        ),
        ({"beside": [["word", r"^4\.\d+$"]]}, "has a wording in beside that needs no word: "),
    ],
)
def test_a_wrong_entry_is_named_with_what_is_wrong(change: dict[str, object], said: str) -> None:
    good = {"id": "X01", "stage": "setup", "severity": "fatal", "fault": "machine",
            "cause": "c", "remedy": "r", "source": ["https://x"], "match": ["a b"]}  # fmt: skip
    # JSON is YAML.
    texts = {"one.yaml": json.dumps([good]), compiled.STATUSES: "[]"}
    assert '"X01"' in compile_failures(texts)
    with pytest.raises(ValueError, match=said):
        compile_failures({**texts, "two.yaml": json.dumps([{**good, **change}])})


def test_a_key_that_stands_twice_is_no_entry() -> None:
    texts = {"one.yaml": "- {id: X01, cause: a, cause: b}", compiled.STATUSES: "[]"}
    with pytest.raises(ValueError, match=r"a key stands twice(?s:.*)line 1, column 3"):
        compile_failures(texts)


def test_every_alternative_needs_a_word_so_that_few_are_tried() -> None:
    assert [entry.id for _, entry, _ in load_index()._candidates._always] == []


def test_patterns_are_compiled_when_they_are_needed() -> None:
    load_catalogue.cache_clear()
    for entry in load_catalogue().values():
        for alternative in entry.match:
            assert "patterns" not in vars(alternative)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("driver version mismatch", {"mismatch"}),
        (r"has (?P<n>\d+) apus? but", {"has"}),
        ("full disk|no space", {"full", "space"}),
        ("full disk|", set()),
        ("(?:gpu|cuda) absent", {"absent"}),
        ("(?:gpus|cuda)", {"gpus", "cuda"}),
        ("(?:gpus|cuda)?", set()),
        ("(?:gpus|cuda)* now", {"now"}),
        ("(?!word)abc", {"abc"}),
        ("colou?rs", {"colo"}),
        (r"bbox_decoders\b", {"bbox_decoders"}),
        ("[abc]defg", {"defg"}),
        ("wxyz{2}ab", {"wxyz"}),
        ("abcd+efg", {"abcd"}),
        ("a.b.c", set()),
        (r"\(abc\)", {"abc"}),
        ("((one|two)|three)", {"one", "two", "three"}),
    ],
)
def test_the_words_that_a_pattern_needs_are_never_claimed_wrongly(
    pattern: str, words: set[str]
) -> None:
    assert required_words(pattern) == words


@pytest.mark.slow
def test_no_required_word_rejects_a_message_that_its_pattern_matches() -> None:
    import re

    from orchestrator.diagnose.words.text import fold, strip_prefix

    texts = [text for known in (RECORDED, REWORDED) for group in known.values() for text in group]
    messages = [fold(strip_prefix(text.replace("\n", " "))) for text in texts]
    checked = 0
    for entry in load_catalogue().values():
        for part in (part for one in (*entry.match, *entry.hint) for part in one.parts):
            pattern = re.compile(expand(part), re.IGNORECASE)
            required = required_sets(expand(part))
            for message in messages:
                if pattern.search(message):
                    checked += 1
                    lower = message.lower()
                    assert all(any(w in lower for w in words) for words in required), part
    assert checked > 500


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [
        "a" * 200_000,
        "no " * 70_000,
        "data shape (1, 2, 3), " * 9_000,
        "optimization level reduced to reduced to " * 5_000,
        "hef " * 50_000,
        "[info] " + "calibration " * 20_000,
        "({[" * 60_000,
        "error: " * 30_000,
        "x" * 50 + "|" * 100_000 + "1/2",
        "permission denied " * 9_000 + "/local/",
        '{"a": [' + "1.0, " * 60_000,
    ],
)
def test_no_line_however_long_takes_long(line: str) -> None:
    log = VendorLog()
    log.feed("warm up: compiles the patterns")
    began = time.process_time()
    for _ in range(3):
        log.feed(line)
    assert time.process_time() - began < 3.0


def test_entries_that_tell_one_fact_propose_one_next_step() -> None:
    """Whichever of them is shown, its recipe lines do not go against those of the others."""
    import yaml

    from orchestrator.diagnose.rules import fill

    group = FORESEEN["calib.count.level"]
    told = {"level_asked": "2", "level_run": "1", "images_given": "384", "images_used": "64"}
    levels = set()
    for name in group:
        recipe = fill(load_catalogue()[name], told).recipe
        asked = (yaml.safe_load(recipe or "{}").get("optimization") or {}).get("level")
        levels |= {asked} - {None}
        numbers = {int(one) for one in re.findall(r"\b\d{3,}\b", recipe or "")}
        assert numbers <= {384}, (name, recipe)
    assert levels <= {1}, levels


def test_a_command_stands_whole_in_one_part_of_a_placeholder() -> None:
    """A shell's pipe within one would end that part of it, in the middle of the command."""
    parts = [
        (entry.id, part)
        for entry in load_catalogue().values()
        for text in (entry.cause, entry.remedy, entry.confirm or "", entry.recipe or "")
        for group in re.findall(r"\{[a-z_0-9]+[?|]([^{}]*)\}", text)
        for part in group.split("|")
    ]
    assert [one for one in parts if one[1].count("`") % 2] == []


def test_no_entry_says_a_thing_twice() -> None:
    """A reader of YAML takes the last of two like keys and says nothing; merges leave pairs."""
    for name, text in sources().items():
        said: set[str] = set()
        for line in text.splitlines():
            if line.startswith("- "):
                said = set()
            elif key := re.match(r"  (\w+):", line):
                assert key[1] not in said, f"{name}: {key[1]} twice near {line!r}"
                said.add(key[1])
