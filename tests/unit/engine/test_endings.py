"""Endings told apart, from the evidence that engines really give."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.engine.base import GIB, EndKind, EngineInfo
from orchestrator.engine.endings import Evidence, memory_hint, tell_ending

INFO = EngineInfo("docker", "vm", "unix:///x", "29.0", architecture="arm64", memory=8 * GIB)


@pytest.mark.parametrize(
    ("evidence", "kind"),
    [
        (Evidence(0), EndKind.OK),
        (Evidence(0, asked=True), EndKind.OK),
        (Evidence(3), EndKind.FAILED),
        (Evidence(130, asked=True), EndKind.INTERRUPTED),
        (Evidence(137, asked=True), EndKind.INTERRUPTED),
        (Evidence(137, oom_killed=True), EndKind.OOM),
        (Evidence(1, oom_killed=True), EndKind.OOM),
        (Evidence(137), EndKind.KILLED),
        (Evidence(143), EndKind.KILLED),
        (Evidence(130), EndKind.KILLED),
        (Evidence(None), EndKind.ENGINE_LOST),
        (Evidence(143, restarted=True), EndKind.ENGINE_LOST),
        (Evidence(137, restarted=True), EndKind.ENGINE_LOST),
        (Evidence(255, restarted=True), EndKind.ENGINE_LOST),
        (Evidence(255), EndKind.FAILED),
        (Evidence(1, restarted=True), EndKind.FAILED),
        (Evidence(1, tail=["OSError: [Errno 28] No space left on device"]), EndKind.DISK_FULL),
        (Evidence(1, free=100), EndKind.DISK_FULL),
        (Evidence(1, free=GIB), EndKind.FAILED),
        (Evidence(132), EndKind.PLATFORM),
        (Evidence(1, tail=["exec /usr/bin/python3: exec format error"]), EndKind.PLATFORM),
        (Evidence(134, tail=["This CPU does not support 'avx' instructions"]), EndKind.PLATFORM),
        (
            Evidence(
                134,
                tail=[
                    "The TensorFlow library was compiled to use AVX instructions, but these",
                    "aren't available on your machine.",
                    "qemu: uncaught target signal 6 (Aborted) - core dumped",
                ],
            ),
            EndKind.PLATFORM,
        ),
        # TensorFlow's usual greeting names AVX and means no harm.
        (
            Evidence(
                1,
                tail=[
                    "This TensorFlow binary is optimized to use available CPU instructions.",
                    "To enable the following instructions: AVX2 FMA, rebuild TensorFlow.",
                ],
            ),
            EndKind.FAILED,
        ),
        (
            Evidence(
                1,
                tail=[
                    "To enable the following instructions: AVX2 AVX512F FMA, rebuild TensorFlow.",
                    "hailo_sdk_common.UnsupportedLayerError: Einsum is not supported",
                ],
            ),
            EndKind.FAILED,
        ),
    ],
)
def test_each_ending_has_its_kind(evidence: Evidence, kind: EndKind) -> None:
    ending = tell_ending(evidence, INFO)
    assert ending.kind is kind
    assert ending.ok is (kind is EndKind.OK)
    assert ending.detail
    if kind not in {EndKind.OK, EndKind.FAILED, EndKind.INTERRUPTED}:
        assert ending.hint, "what is not the job's own fault says what to do"


def test_out_of_memory_names_the_limit() -> None:
    ending = tell_ending(Evidence(137, oom_killed=True, memory_limit=6 * GIB), INFO)
    assert "6.0 GiB" in ending.detail


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        (replace(INFO, product="desktop"), ".wslconfig"),
        (replace(INFO, product="colima"), "colima start --memory"),
        (replace(INFO, product="podman"), "podman machine set"),
        (replace(INFO, os="Ubuntu on Microsoft WSL2"), "wsl --shutdown"),
        (INFO, "--memory 16g (the engine has 8.0 GiB)"),
    ],
)
def test_each_product_has_its_own_place_for_memory(info: EngineInfo, expected: str) -> None:
    assert expected in memory_hint(info)
