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
