"""`hef prune` on a real engine: our old images, sent inputs and orphans go; all else stays."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.engine import images, volumes
from orchestrator.engine.base import ImageBuildError, ImageInfo
from orchestrator.engine.context import Blob, Context
from orchestrator.engine.owner import owner_id
from orchestrator.processes import this_process
from orchestrator.toolchain import registry

from .conftest import BASE, SOCKET, docker, exists

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.engine.docker import DockerEngine

pytestmark = [pytest.mark.engine, pytest.mark.timeout(180)]


@pytest.fixture
def owner(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """A user of the test's own, so that nobody else's images are old; a data folder as well."""
    monkeypatch.setenv("LOGNAME", f"prune-{uuid.uuid4().hex[:8]}")
    monkeypatch.setenv("HEFSMITH_DATA", str(tmp_path / "data"))
    mine = owner_id()
    yield mine
    wanted = f"label=org.hefsmith.owner={mine}"
    for one in docker("ps", "-aq", "--filter", wanted).split():
        docker("rm", "-f", one)
    # A child goes before what it stands on.
    for _ in range(3):
        for one in sorted(set(docker("images", "-q", "--filter", wanted).split())):
            subprocess.run(["docker", "-H", SOCKET, "rmi", "-f", one], capture_output=True)
    for one in docker("volume", "ls", "-q", "--filter", wanted).split():
        docker("volume", "rm", one)


def prune(*words: str) -> dict[str, Any]:
    """Run the program as its users do."""
    command = [sys.executable, "-m", "orchestrator", "prune", "--engine", SOCKET, "--json", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def named_in(gone: dict[str, Any]) -> set[str]:
    """Return the names that went; engines differ in which steps of a build have an own id."""
    return {one for one in gone["images"] if not one.startswith("sha256:")}


def make(
    engine: DockerEngine, tag: str, *, base: str = BASE, more: str = "", on: str | None = None
) -> ImageInfo:
    """Build a small image as the program builds its own; each call makes another."""
    text = f"FROM {base} AS first\nENV MARK={uuid.uuid4().hex}\n{more}"
    labels = {} if on is None else {"org.hefsmith.base": on}
    context = Context({"Dockerfile": Blob(text.encode())})
    return images.build(engine.connection, context, tag=tag, labels=labels)


def there(*references: str) -> list[bool]:
    done = [
        subprocess.run(["docker", "-H", SOCKET, "image", "inspect", one], capture_output=True)
        for one in references
    ]
    return [one.returncode == 0 for one in done]


def test_old_images_of_ours_go_and_what_others_made_or_use_stays(
    engine: DockerEngine, owner: str, tmp_path: Path
) -> None:
    name = uuid.uuid4().hex[:8]
    old = f"hefsmith-emulator:{name}"
    runtime = f"hefsmith-emulator-runtime:{name}"
    used, shared, suite = (f"hefsmith-pi:{name}", f"hefsmith-emulator:s{name}", f"mine-{name}:1")
    make(engine, runtime)
    # A second stage, whose image has no name afterwards.
    base = make(
        engine, old, base=runtime, more=f"FROM {runtime}\nCOPY --from=first /etc/debian_version /\n"
    )
    make(engine, used)
    docker("create", "--name", f"hefsmith-test-{name}", used, "true")
    make(engine, shared)
    docker("tag", shared, f"mine-{name}:2")
    make(engine, suite)
    # Built by a user on top of our image, so with our labels, and without a name.
    child = tmp_path / "child"
    child.mkdir()
    (child / "Dockerfile").write_text(f"FROM {shared}\nENV MINE=1\n")
    others = docker("build", "-q", str(child))
    docker("build", "-q", "-t", f"hefsmith-emulator:o{name}", "--label", "org.hefsmith.built=1",
           "--label", "org.hefsmith.owner=somebody", str(child))  # fmt: skip
    # What a build that failed leaves.
    with pytest.raises(ImageBuildError):
        make(engine, f"hefsmith-pi:f{name}", more="RUN exit 3\n")
    try:
        foreseen = prune("--dry-run")
        assert all(there(old, runtime))
        gone = prune()
        assert set(foreseen["images"]) <= set(gone["images"])
        assert named_in(gone) == {old, runtime}
        assert len(gone["images"]) >= 4, "the stage and the failed build went too"
        assert there(old, runtime, base.id) == [False, False, False]
        stay = (used, shared, f"mine-{name}:2", suite, others, f"hefsmith-emulator:o{name}")
        assert all(there(*stay)), dict(zip(stay, there(*stay), strict=True))
        assert prune()["images"] == [], "nothing is left to do"
    finally:
        docker("rm", "-f", f"hefsmith-test-{name}")
        docker("rmi", "-f", f"hefsmith-emulator:o{name}", others)


def test_layers_for_exports_stay_with_the_toolchains_that_name_them(
    engine: DockerEngine, owner: str
) -> None:
    name = uuid.uuid4().hex[:8]
    suite = make(engine, f"mine-{name}:suite")
    kept = make(engine, f"hefsmith-suite-export:{name}", base=suite.tags[0], on=suite.id)
    left = make(engine, f"hefsmith-suite-export:l{name}", base=suite.tags[0])
    mine = make(engine, f"hefsmith-export:{name}", base=kept.tags[0], on=kept.id)
    stale = make(engine, f"hefsmith-export:l{name}", base=left.tags[0], on=left.id)
    toolchain = registry.ImportedToolchain(
        name="suite", kind="suite", engine=SOCKET, image=suite.id, python="python3",
        versions={"dfc": "3.33.0"}, export_image=kept.id,
    )  # fmt: skip
    registry.save(toolchain)
    assert named_in(prune()) == {left.tags[0], stale.tags[0]}
    assert there(suite.id, kept.id, mine.id, left.id, stale.id) == [True, True, True, False, False]
    registry.save(replace(toolchain, export_image=None))
    assert named_in(prune()) == {kept.tags[0], mine.tags[0]}
    assert there(suite.id) == [True]


def test_sent_inputs_and_orphans_go_and_those_of_others_stay(
    engine: DockerEngine, owner: str, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = uuid.uuid4().hex[:8]
    api = engine.connection.api
    mine = {"org.hefsmith.owner": owner, "org.hefsmith.data": "1"}
    data = f"hefsmith-data-{name}"
    for one in (data, data + volumes.WHOLE):
        api.create_volume(one, labels=mine)
    api.create_volume(f"mine-{name}", labels={"org.hefsmith.data": "1"})
    gone_process = replace(this_process(), pid=999_999_999)
    dead = {"org.hefsmith.owner": owner, "org.hefsmith.process": str(gone_process),
            "org.hefsmith.detached": "0"}  # fmt: skip
    for which, labels in (("dead", dead), ("other", {**dead, "org.hefsmith.owner": "somebody"})):
        words = [
            word for label, value in labels.items() for word in ("--label", f"{label}={value}")
        ]
        docker("create", "--name", f"hefsmith-test-{which}-{name}", *words, image, "true")
    try:
        gone = prune()
        assert (gone["containers"], gone["volumes"]) == (1, []), "an hour is not over"
        assert [exists(f"hefsmith-test-{one}-{name}") for one in ("dead", "other")] == [False, True]
        # The engine's clock cannot be set, so the hour is made short.
        monkeypatch.setattr("orchestrator.engine.prune.RECENT", -60.0)
        from orchestrator.engine.prune import prune as remove

        assert remove(engine.connection).volumes == (data,)
        listed = docker("volume", "ls", "-q").split()
        assert data not in listed
        assert data + volumes.WHOLE not in listed
        assert f"mine-{name}" in listed
    finally:
        docker("rm", "-f", f"hefsmith-test-other-{name}")
        docker("volume", "rm", f"mine-{name}")


def test_the_emulator_of_this_version_is_kept(engine: DockerEngine) -> None:
    # With the real owner: what other tests and users of this machine need must survive.
    current = engine.ensure_image("emulator")
    plan = images.plan_emulator()
    going = prune("--dry-run")["images"]
    assert not {plan.tag, plan.runtime_tag, current.id} & set(going)
