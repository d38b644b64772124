"""Two builds of the same inputs with other bytes: what is told is how far apart they are."""

from __future__ import annotations

import base64
import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.lies import networks
from tests.lies.bench import Bench

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    bench = Bench(tmp_path_factory.mktemp("inputs"))
    for name, level in (("one", "0"), ("two", "1")):
        bench.model(name, networks.brightness, changes={"level: 0": f"level: {level}"})
        said = bench.build(name)
        assert said.code == 0, said.err
    return bench


def _locked_elsewhere(bench: Bench, factor: float) -> None:
    """Let the lock say what another machine made: another HEF, and answers off by a factor."""
    path = bench.root / "hef.lock"
    document = json.loads(path.read_text())
    made = document["builds"]["one/hailo8l"]["made"]
    numbers = np.frombuffer(base64.b64decode(made["numbers"]), "<f4")
    made["hef"] = "0" * 64
    made["numbers"] = base64.b64encode((numbers * np.float32(factor)).tobytes()).decode()
    path.write_text(json.dumps(document))


def test_a_locked_build_of_other_bytes_is_not_called_changed(bench: Bench) -> None:
    assert bench.hef("lock", "one").code == 0
    said = bench.hef("lock", "one", "--check")
    assert "is as locked (same inputs, same bytes)" in said.out
    for factor, words, severity in (
        (1 + 1e-5, "same inputs, other bytes, difference 100.0 dB", "note"),
        (0.9, "same inputs, other bytes, difference 19.1 dB", "warning"),
    ):
        assert bench.hef("lock", "one").code == 0
        _locked_elsewhere(bench, factor)
        checked = bench.hef("lock", "one", "--check")
        assert checked.code == 0
        assert words in checked.out
        built = bench.build("one", "--locked")
        assert built.code == 0
        assert words in built.err
        assert ("lock.bytes" in built.err) == (severity == "warning")


def test_a_lock_that_was_tampered_with_is_refused_in_words(bench: Bench) -> None:
    assert bench.hef("lock", "one").code == 0
    path = bench.root / "hef.lock"
    for numbers in ("!", "AAA=", 7):
        document = json.loads(path.read_text())
        document["builds"]["one/hailo8l"]["made"]["numbers"] = numbers
        path.write_text(json.dumps(document))
        said = bench.hef("lock", "one", "--check")
        assert said.code == 2
        assert "Traceback" not in said.err
        assert "cannot be read" in said.err
    assert bench.hef("lock", "one").code == 0, "it is written anew, as the hint says"
    path.unlink()


def _as_if_of_the_same_inputs(bench: Bench, folder: Path) -> Path:
    """Return the second build with the first one's inputs in its manifest."""
    shutil.copytree(bench.folder("two"), folder)
    mine, first = (
        json.loads((one / "manifest.json").read_text()) for one in (folder, bench.folder("one"))
    )
    definitions: list[Any] = [one["predicate"]["buildDefinition"] for one in (mine, first)]
    definitions[0]["externalParameters"]["asked"] = definitions[1]["externalParameters"]["asked"]
    definitions[0]["resolvedDependencies"] = definitions[1]["resolvedDependencies"]
    (folder / "manifest.json").write_text(json.dumps(mine))
    return folder


def test_a_difference_of_two_builds_says_what_it_amounts_to(bench: Bench, tmp_path: Path) -> None:
    assert bench.hef("diff", str(bench.folder("one")), str(bench.folder("one"))).code == 0
    other = bench.hef("diff", str(bench.folder("one")), str(bench.folder("two")), "--json")
    assert other.document["made"]["same_inputs"] is False
    same = _as_if_of_the_same_inputs(bench, tmp_path / "two")
    said = bench.hef("diff", str(bench.folder("one")), str(same), "--json")
    assert said.document["made"]["same_inputs"] is True
    assert said.document["made"]["same_bytes"] is False
    words = bench.hef("diff", str(bench.folder("one")), str(same))
    assert words.out.startswith("same inputs, other bytes, ")
    assert words.code == (0 if said.document["made"]["same_numbers"] else 1)
    lonely = tmp_path / "alone.hef"
    shutil.copy(next(bench.folder("one").glob("*.hef")), lonely)
    assert bench.hef("diff", str(lonely), str(lonely), "--json").document["made"] is None
