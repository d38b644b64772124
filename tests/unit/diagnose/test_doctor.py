"""What the doctor says about machines that are not here, from recorded facts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hefsmith_worker.contract.findings import ERROR, INFO, OK, WARNING, worst

from orchestrator.cli.doctor import exit_code
from orchestrator.diagnose.doctor import checks_engine, checks_host, facts
from orchestrator.diagnose.doctor.checks import Result, ok, run_checks
from orchestrator.diagnose.doctor.facts import EngineFacts, Gpu, HostFacts, ToolchainFacts
from orchestrator.engine.base import EngineInfo

GIB = 1024**3

LINUX = HostFacts(
    system="Linux", release="6.8.0-45-generic", machine="x86_64", python=(3, 12, 4),
    cpu_flags=frozenset({"avx", "avx2", "sse2"}), memory=32 * GIB, swap=8 * GIB, environ={},
    folder="/home/me/models", file_system="ext4", case_sensitive=True, free=300 * GIB,
    docker_cli="/usr/bin/docker", plugins={"buildx": "0.13.1", "compose": "2.26.1"},
    gpus=(Gpu("NVIDIA RTX A4000", "550.90", 16 * GIB, GIB // 4),),
)  # fmt: skip
WSL = replace(
    LINUX, release="5.15.153.1-microsoft-standard-WSL2", wsl=2, memory=int(7.6 * GIB),
    swap=2 * GIB, folder="/mnt/c/Users/Me/Documents/my models", file_system="9p",
    case_sensitive=False,
)  # fmt: skip
WINDOWS = replace(
    LINUX, system="Windows", release="11", machine="AMD64", cpu_flags=None, memory=None,
    environ={"MSYSTEM": "MINGW64"}, folder="C:\\Users\\Me\\" + "deep\\" * 30, file_system=None,
    case_sensitive=False, docker_cli="C:\\Program Files\\Docker\\docker.exe", long_paths=False,
)  # fmt: skip
MAC = replace(
    LINUX, system="Darwin", release="24.1.0", machine="arm64", cpu_flags=None,
    folder="/Users/me/models", file_system=None, case_sensitive=False, gpus=(),
    emulator_lacks=("torch",),
)  # fmt: skip
ABOUT = EngineInfo(
    "docker", "vm", "unix:///x", "29.0.1", api="1.52", architecture="amd64", memory=32 * GIB,
    data_root="/var/lib/docker", runtimes=("nvidia", "runc"),
)  # fmt: skip
ENGINE = EngineFacts("unix:///x", "Docker's default", False, True, info=ABOUT, skew=0.1,
                     free=200 * GIB, seconds=0.01)  # fmt: skip


def host(given: HostFacts) -> dict[str, Result]:
    return {one.id: one for one in run_checks(checks_host.CHECKS, given)}


def engine(given: EngineFacts) -> dict[str, Result]:
    return {one.id: one for one in run_checks(checks_engine.ENGINE_CHECKS, given)}


def test_a_good_machine_has_nothing_to_complain_of() -> None:
    results = [*host(LINUX).values(), *engine(ENGINE).values()]
    assert worst(one.finding for one in results) == OK
    assert exit_code(results) == 0
    assert {one.id for one in results} >= {"host.avx", "host.memory", "engine.disk"}


def test_every_complaint_says_why_and_what_to_do() -> None:
    for given in (WSL, WINDOWS, MAC, replace(LINUX, wsl=1, free=0, cpu_flags=frozenset())):
        for one in host(given).values():
            if one.finding.severity in (ERROR, WARNING):
                assert one.finding.why, one
                assert one.finding.fix, one
            assert one.as_json()["severity"] in {"ok", "info", "warning", "error"}


def test_wsl_names_the_exact_lines_of_its_settings_and_the_slow_drive() -> None:
    found = host(WSL)
    assert "memory=16GB" in found["host.memory"].finding.fix
    assert ".wslconfig" in found["host.memory"].finding.fix
    assert "9p" in found["host.folder"].finding.why
    assert host(replace(WSL, wsl=1))["host.system"].finding.severity == ERROR


def test_windows_names_git_bash_and_long_paths() -> None:
    found = host(WINDOWS)
    assert "MSYS_NO_PATHCONV" in found["host.msys"].finding.fix
    assert "LongPathsEnabled" in found["host.folder"].finding.fix
    fine = replace(WINDOWS, environ={}, long_paths=True)
    assert "host.msys" not in host(fine)
    assert host(fine)["host.folder"].finding.severity == OK


def test_apple_silicon_is_told_about_rosetta_and_remote_engines() -> None:
    finding = host(MAC)["host.avx"].finding
    assert finding.severity == WARNING
    assert "Rosetta" in finding.why
    assert "ssh://" in finding.fix
    assert "pip install" in host(MAC)["host.emulator"].finding.fix


def test_a_gpu_that_drives_a_display_is_told_because_the_compiler_refuses_it_silently() -> None:
    busy = Gpu("GeForce", "550", 8 * GIB, GIB)
    assert host(replace(LINUX, gpus=(busy,)))["host.gpu"].finding.severity == WARNING
    both = (*LINUX.gpus, busy)
    assert host(replace(LINUX, gpus=both))["host.gpu"].finding.severity == OK


@pytest.mark.parametrize(
    ("folder", "severity"),
    [
        ("/home/me/models", OK),
        ("/home/me/my models", INFO),
        ("/home/mé/models", WARNING),
        ("/home/me/a'b", WARNING),
        ("C:\\Users\\me", OK),
    ],
)
def test_odd_paths_are_noticed(folder: str, severity: str) -> None:
    assert host(replace(LINUX, folder=folder))["host.folder"].finding.severity == severity


@pytest.mark.parametrize(
    ("given", "check", "severity", "said"),
    [
        (replace(ENGINE, info=replace(ABOUT, memory=2 * GIB)), "memory", ERROR, "--memory"),
        (
            replace(ENGINE, info=replace(ABOUT, memory=8 * GIB, product="desktop")),
            "memory",
            WARNING,
            "Settings > Resources",
        ),
        (replace(ENGINE, free=30 * GIB), "disk", WARNING, "builder prune"),
        (replace(ENGINE, free=GIB), "disk", ERROR, "builder prune"),
        (replace(ENGINE, info=replace(ABOUT, api="1.39")), "version", WARNING, "Update"),
        (replace(ENGINE, info=replace(ABOUT, api="1.41")), "version", OK, ""),
        (replace(ENGINE, skew=-4000.0), "clock", WARNING, "NTP"),
        (replace(ENGINE, info=replace(ABOUT, lacks=("cpus",))), "limits", WARNING, "group"),
        (
            replace(ENGINE, info=replace(ABOUT, architecture="arm64")),
            "architecture",
            WARNING,
            "ssh://",
        ),
        (replace(ENGINE, info=replace(ABOUT, runtimes=())), "gpu", INFO, "nvidia-ctk"),
        (replace(ENGINE, seconds=4.0), "speed", WARNING, "connection"),
        (replace(ENGINE, info=replace(ABOUT, userns=True)), "users", INFO, ""),
    ],
)  # fmt: skip
def test_engines_are_judged(given: EngineFacts, check: str, severity: str, said: str) -> None:
    finding = engine(given)[f"engine.{check}"].finding
    assert finding.severity == severity
    assert said in finding.fix


def test_an_engine_that_is_away_is_an_error_only_if_nothing_else_can_build() -> None:
    away = EngineFacts("unix:///x", "o", False, False, "no Docker engine answers", "start it")
    assert engine(away)["engine.reached"].finding.severity == WARNING
    assert "without a box" in engine(away)["engine.reached"].finding.why
    boxed = engine(replace(away, host_has_box=True))["engine.reached"].finding
    assert "in bubblewrap's box" in boxed.why
    alone = engine(replace(away, host_lacks_emulator=True))
    assert alone["engine.reached"].finding.severity == ERROR
    assert exit_code(list(alone.values())) == 3


def test_a_lock_that_cannot_be_kept_is_an_error() -> None:
    def judge(given: ToolchainFacts) -> dict[str, Result]:
        return {one.id: one for one in run_checks(checks_engine.TOOLCHAIN_CHECKS, given)}

    assert "toolchain.lock" not in judge(ToolchainFacts())
    suites = (("hailo8", "dfc 3.33.0", None),)
    missing = judge(ToolchainFacts(suites, ("3.x: other",), (), ("other",)))
    assert missing["toolchain.lock"].finding.severity == ERROR
    assert exit_code(list(missing.values())) == 2
    good = judge(ToolchainFacts(suites, ("3.x: hailo8",)))
    assert good["toolchain.lock"].finding.message == ok("locked: 3.x: hailo8").message


@pytest.mark.parametrize(
    ("text", "generation"),
    [
        ("Linux version 5.15.153.1-microsoft-standard-WSL2 (gcc ...)", 2),
        ("Linux version 4.4.0-19041-Microsoft (Microsoft@Microsoft.com)", 1),
        ("Linux version 6.8.0-45-generic (buildd@lcy02)", 0),
        ("", 0),
    ],
)
def test_wsl_generations_are_read(text: str, generation: int) -> None:
    assert facts.wsl_version(text) == generation


def test_file_systems_are_found_by_the_longest_mount() -> None:
    mounts = (
        "/dev/sdc / ext4 rw 0 0\nC:\\134 /mnt/c 9p rw 0 0\nshort\n"
        "server:/x /home/me/net\\040work nfs4 rw 0 0\n"
    )
    assert facts.file_system(mounts, "/mnt/c/Users") == "9p"
    assert facts.file_system(mounts, "/mnt/cd") == "ext4"
    assert facts.file_system(mounts, "/home/me/net work/a") == "nfs4"
    assert facts.file_system("", "/x") is None


def test_numbers_are_read_from_what_systems_print() -> None:
    assert facts.meminfo_bytes("MemTotal:       16314924 kB\n", "MemTotal") == 16314924 * 1024
    assert facts.meminfo_bytes("", "MemTotal") is None
    gpus = facts.read_gpus(
        "NVIDIA RTX A4000, 550.90.07, 16376, 402\n[N/A], x, [N/A], 1\nno devices"
    )
    assert gpus == (Gpu("NVIDIA RTX A4000", "550.90.07", 16376 * 1024**2, 402 * 1024**2),)
    assert facts.clock_skew("2026-11-22T16:00:10.123456789Z", 1795363200.0) == pytest.approx(
        10.12, 0.01
    )
    assert facts.clock_skew("soon", 0.0) is None


@pytest.mark.slow
def test_facts_of_this_machine_are_collected_without_an_error() -> None:
    found = facts.collect_host()
    assert found.python >= (3, 11, 0)
    assert host(found)
    away = facts.collect_engine("unix:///nowhere/docker.sock")
    assert not away.reached
    assert "no Docker engine answers" in away.problem
    assert facts.collect_engine("local").info is not None
