"""Whose a container is, and which are orphans."""

from __future__ import annotations

from orchestrator.engine import volumes
from orchestrator.engine.context import Blob, Context
from orchestrator.engine.images import mark_stages
from orchestrator.engine.orphans import choose_orphan_volumes, choose_orphans
from orchestrator.engine.owner import owner_id
from orchestrator.engine.prune import Needed, choose_images, is_leftover


def test_an_owner_is_a_stable_name_that_tells_nothing() -> None:
    assert owner_id() == owner_id()
    assert len(owner_id()) == 16


def container(name: str, **labels: str) -> dict[str, object]:
    return {"Id": name, "Name": name,
            "Labels": {f"org.hefsmith.{key}": value for key, value in labels.items()}}  # fmt: skip


def test_only_our_own_of_dead_processes_that_were_not_detached_are_orphans() -> None:
    listed = [
        container("orphan", owner="me", process="dead", detached="0"),
        container("lives", owner="me", process="alive", detached="0"),
        container("detached", owner="me", process="dead", detached="1"),
        container("other", owner="you", process="dead", detached="0"),
        container("unmarked", owner="me", detached="0"),
        container("older", owner="me", process="dead"),
        {"Id": "foreign", "Labels": None},
    ]
    chosen = choose_orphans(listed, owner="me", alive=lambda one: one == "alive")
    assert chosen == ("orphan",)
    # A data volume is shared by builds: it is never an orphan of one of them.
    result = container("result", owner="me", process="dead", detached="0", work="b1")
    data = container("data", owner="me", process="dead", detached="0", data="1")
    chosen = choose_orphan_volumes([result, data], [], owner="me", alive=lambda _: False)
    assert chosen == ("result",)


def test_the_volume_of_a_detached_build_is_kept_as_long_as_its_container() -> None:
    kept = container("kept", owner="me", process="dead", detached="1", work="b1")
    left = container("left", owner="me", process="dead", detached="1", work="b2")
    begun = container("begun", owner="me", process="alive", detached="1", work="b3")
    others = container("others", owner="you", process="dead", detached="1", work="b4")
    there = [container("c", owner="me", build="b1")]
    volumes_ = [kept, left, begun, others]
    chosen = choose_orphan_volumes(volumes_, there, owner="me", alive=lambda one: one == "alive")
    assert chosen == ("left",)


def image(name: str, *tags: str, owner: str = "me", **labels: str) -> dict[str, object]:
    found = container(name, built="1", owner=owner, **labels)
    return {**found, "RepoTags": list(tags) or None, "Size": 100}


def test_only_old_images_of_ours_that_nothing_uses_are_pruned() -> None:
    listed = [
        image("a", "hefsmith-emulator:old", "hefsmith-emulator:older"),
        image("b", "hefsmith-emulator:now"),
        image("c", "hefsmith-emulator-runtime:old"),
        image("d", "hefsmith-pi:old", owner="you"),
        image("e", "hefsmith-pi:used"),
        image("f", "hefsmith-suite:3.33.0"),
        image("g", "hefsmith-emulator:old2", "mine:keep"),
        image("h"),
        image("h2"),
        image("i", "localhost/hefsmith-pi:podman"),
        {"Id": "j", "RepoTags": ["hefsmith-emulator:foreign"], "Labels": None},
    ]
    needed = Needed(tags={"hefsmith-emulator:now"}, used={"e"})
    chosen = choose_images(listed, owner="me", needed=needed, leftovers={"h"})
    assert chosen == {
        "hefsmith-emulator:old": 50, "hefsmith-emulator:older": 50,
        "hefsmith-emulator-runtime:old": 100, "h": 100, "localhost/hefsmith-pi:podman": 100,
    }  # fmt: skip


def test_a_layer_for_exports_stays_as_long_as_what_it_was_made_for() -> None:
    listed = [
        image("a", "hefsmith-export:one", base="emulator-now"),
        image("b", "hefsmith-export:two", base="emulator-old"),
        image("c", "hefsmith-export:three", base="layer-kept"),
        image("d", "hefsmith-export:before-bases-were-noted"),
        image("layer-kept", "hefsmith-suite-export:one", base="suite"),
        image("layer-left", "hefsmith-suite-export:two"),
    ]
    needed = Needed(ids={"emulator-now", "suite", "layer-kept"})
    chosen = choose_images(listed, owner="me", needed=needed)
    assert set(chosen) == {
        "hefsmith-export:two", "hefsmith-export:before-bases-were-noted",
        "hefsmith-suite-export:two",
    }  # fmt: skip


def test_an_image_without_a_name_is_ours_only_by_its_last_steps() -> None:
    # Newest first, as engines tell it; the first lines are of a finished image of ours.
    finished = [
        "/bin/sh -c #(nop)  LABEL org.hefsmith.owner=me",
        "/bin/sh -c #(nop)  LABEL org.hefsmith.built=1",
        "/bin/sh -c #(nop) WORKDIR /tmp",
    ]
    start = "/bin/sh -c #(nop)  LABEL org.hefsmith.owner=me org.hefsmith.stage=1"
    assert is_leftover(finished)
    assert is_leftover(["/bin/sh -c pip install", start, *finished]), "a stage upon it"
    assert not is_leftover(["/bin/sh -c make mine", *finished, start]), "somebody's upon it"
    assert not is_leftover(["/bin/sh -c make mine"])
    assert not is_leftover([])


def test_each_stage_is_marked_without_changing_what_the_tag_is_made_of() -> None:
    text = "ARG BASE\nFROM ${BASE} AS a\nRUN true\nfrom a\nCOPY --from=a /x /y\n"
    files = {"Dockerfile": Blob(text.encode()), "x": Blob(b"1")}
    marked = mark_stages(Context(files), {"org.hefsmith.stage": "1", "org.hefsmith.owner": "me"})
    label = "LABEL org.hefsmith.owner=me org.hefsmith.stage=1\n"
    assert marked.blobs["Dockerfile"].data.decode() == (
        f"ARG BASE\nFROM ${{BASE}} AS a\n{label}RUN true\nfrom a\n{label}COPY --from=a /x /y\n"
    )
    assert marked.blobs["x"] is files["x"]


class FakeVolumes:
    """An engine's volumes, as far as the clean-up asks."""

    def __init__(self, **created: str) -> None:
        self.there = dict(created)

    def volumes(self, filters: object) -> dict[str, list[dict[str, str]]]:
        return {"Volumes": [{"Name": n, "CreatedAt": c} for n, c in self.there.items()]}

    def remove_volume(self, name: str) -> None:
        self.there.pop(name)


def test_inputs_that_nobody_sent_for_two_weeks_are_removed() -> None:
    engine = FakeVolumes(**{
        "hefsmith-data-old": "2026-01-01T00:00:00Z",
        "hefsmith-data-old-whole": "2026-01-01T00:00:00Z",
        "hefsmith-data-new": "2026-01-30T00:00:00+01:00",
        "hefsmith-data-new-whole": "2026-01-30T00:00:00+01:00",
        "hefsmith-data-odd-whole": "yesterday",
    })  # fmt: skip
    removed = volumes.remove_old(engine, {}, now=1769904000.0)  # type: ignore[arg-type]
    assert removed == ("hefsmith-data-old",)
    assert sorted(engine.there) == [
        "hefsmith-data-new", "hefsmith-data-new-whole", "hefsmith-data-odd-whole",
    ]  # fmt: skip
