"""What is in an image is known by one digest, whatever the engine calls it."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.engine.images import explain_failure, read_image

LAYER = "sha256:6e36c99bf6e4cc77b15247d8c45d40f236403e4ef8923633596ae20dbf71bf47"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# One archive, loaded into four engines; `docker image inspect` of each, shortened.
DOCKER_20_10: dict[str, Any] = {
    "Id": "sha256:c970f7d60a8cf333c06d414e2616339577e14f3df9771343bb5ac3dbe3025e64",
    "RepoTags": ["debian:bookworm-slim"], "RepoDigests": [], "Container": "",
    "ContainerConfig": {"Env": None, "Cmd": None, "Labels": None}, "Size": 123708099,
    "Architecture": "amd64", "Os": "linux",
    "Config": {
        "Hostname": "", "User": "", "AttachStdin": False, "Env": [PATH], "Cmd": ["bash"],
        "Image": "", "Volumes": None, "WorkingDir": "", "Entrypoint": None, "OnBuild": None,
        "Labels": None,
    },
    "RootFS": {"Type": "layers", "Layers": [LAYER]},
}  # fmt: skip
DOCKER_28_CONTAINERD: dict[str, Any] = {
    "Id": "sha256:313062b56e83128dbe559238d7d1587f5162af9e595beaa83f0abb7a7fec7709",
    "RepoTags": ["debian:bookworm-slim"], "Size": 50622841, "Architecture": "amd64", "Os": "linux",
    "Config": {
        "Cmd": ["bash"], "Entrypoint": None, "Env": [PATH], "Labels": None, "OnBuild": None,
        "User": "", "Volumes": None, "WorkingDir": "",
    },
    "RootFS": {"Type": "layers", "Layers": [LAYER]},
}  # fmt: skip
DOCKER_29: dict[str, Any] = {
    "Id": "sha256:1535736c3a7b114784a6347eb12e2f6b59fcf01478541eb1cb9ec920f53c5097",
    "RepoTags": ["debian:bookworm-slim"], "Size": 128267628, "Architecture": "amd64", "Os": "linux",
    "Config": {"Env": [PATH], "Cmd": ["bash"]}, "RootFS": {"Type": "layers", "Layers": [LAYER]},
}  # fmt: skip


def test_one_archive_has_one_content_on_every_engine() -> None:
    read = [read_image(one) for one in (DOCKER_20_10, DOCKER_28_CONTAINERD, DOCKER_29)]
    assert len({one.id for one in read}) == 3
    assert len({one.content for one in read}) == 1
    assert read[0].content.startswith("sha256:")


def test_other_layers_or_settings_are_another_content() -> None:
    plain = read_image(DOCKER_29).content
    changed = (
        {"RootFS": {"Layers": [LAYER, LAYER]}},
        {"Architecture": "arm64"},
        {"Config": {"Env": [PATH], "Cmd": ["bash"], "User": "hailo"}},
        {"Config": {"Env": [PATH, "HAILO=1"], "Cmd": ["bash"]}},
    )
    found = {read_image({**DOCKER_29, **one}).content for one in changed}
    assert len(found) == len(changed)
    assert plain not in found


def test_an_engine_that_tells_no_layers_gives_no_content() -> None:
    assert read_image({**DOCKER_29, "RootFS": {}}).content == ""


@pytest.mark.parametrize(
    "said",
    [
        # With a registry; 26 without a network; a name server that does not know it.
        "pull access denied for base, repository does not exist",
        "dial tcp: lookup registry-1.docker.io on 192.0.2.1:53: connect: network is unreachable",
        "failed to resolve reference docker.io/library/base:1: lookup: no such host",
    ],
)
def test_a_base_that_no_engine_can_fetch_is_explained(said: str) -> None:
    hint = explain_failure("hefsmith-emulator:1", said, ["Step 1/4 : FROM base:1"]).hint or ""
    assert "HEFSMITH_BASE_IMAGE" in hint


#: What pip says, in the order in which it came out of one build.
CONFLICT = """
Looking in links: /build/wheels
Processing /build/wheels/paint-1.0-py3-none-any.whl
ERROR: Cannot install paint because these package versions have conflicting dependencies.

The conflict is caused by:
    paint 1.0 depends on numpy<1.20
    sketch 2.0 depends on numpy>=2
    The user requested (constraint) numpy==2.2.6

Additionally, some packages in these conflicts have no matching distributions available for you:
    numpy

To fix this you could try to:
1. loosen the range of package versions you've specified
2. remove package versions to allow pip to attempt to solve the dependency conflict

ERROR: ResolutionImpossible: for help visit the page of pip
"""


def test_the_two_outputs_of_a_build_may_come_in_either_order() -> None:
    lines = [line for line in CONFLICT.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    late = [line for line in lines if line not in errors] + errors
    told = str(explain_failure("hefsmith-export:1", "returned a non-zero code: 1", late))
    assert "paint 1.0 depends on numpy<1.20" in told
    assert "Cannot install paint" in told
    assert "Processing" not in told


def test_a_build_that_failed_is_told_from_where_its_failure_begins() -> None:
    tail = [line for line in CONFLICT.splitlines() if line.strip()]
    told = str(explain_failure("hefsmith-export:1", "returned a non-zero code: 1", tail))
    assert "paint 1.0 depends on numpy<1.20" in told
    assert "Processing" not in told
    steps = [f"Step {number}/20 : RUN true" for number in range(20)]
    told = str(explain_failure("hefsmith-export:1", "returned a non-zero code: 1", steps))
    assert "Step 11/20" not in told
    assert "Step 12/20" in told
