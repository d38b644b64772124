"""What the doctor and the log reader say: each line here was wrong once in a mutant."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from orchestrator.diagnose import ranking
from orchestrator.diagnose.catalogue import load_catalogue
from orchestrator.diagnose.doctor import facts
from orchestrator.diagnose.doctor.checks import run_checks
from orchestrator.diagnose.doctor.checks_engine import TOOLCHAIN_CHECKS
from orchestrator.diagnose.doctor.facts import ToolchainFacts
from orchestrator.diagnose.explain import explain_logs
from orchestrator.diagnose.finding import Diagnosis
from orchestrator.diagnose.words.languages import to_english
from tests.unit.diagnose.test_doctor import ABOUT, ENGINE, GIB, LINUX, engine, host

if TYPE_CHECKING:
    from pathlib import Path


def toolchain(given: ToolchainFacts) -> dict[str, str]:
    return {
        one.id: f"{one.finding.message} {one.finding.why} {one.finding.fix}"
        for one in run_checks(TOOLCHAIN_CHECKS, given)
    }


def test_a_good_machine_is_described_by_its_figures() -> None:
    said = {
        one.id: one.finding.message for one in (*host(LINUX).values(), *engine(ENGINE).values())
    }
    assert said["host.disk"] == "300.0 GiB free in the project's file system"
    assert said["host.memory"] == "32.0 GiB of memory, 8.0 GiB of swap"
    assert said["host.python"] == "Python 3.12.4"
    assert said["engine.version"] == "API 1.52"
    assert said["engine.disk"] == "200 GiB free in /var/lib/docker"
    assert said["engine.memory"] == "32.0 GiB in the engine's machine"
    assert (
        said["engine.reached"]
        == "docker 29.0.1 answers at the address unix:///x (Docker's default)"
    )


def test_a_machine_for_which_there_is_no_suite_is_named() -> None:
    arm = host(replace(LINUX, machine="aarch64"))["host.avx"].finding
    assert (arm.severity, arm.message) == ("warning", "aarch64 processor")
    old = host(replace(LINUX, cpu_flags=frozenset({"sse2"})))["host.avx"].finding
    assert (old.severity, old.message) == ("error", "the processor shows no AVX")


def test_little_memory_is_answered_with_commands_that_a_shell_takes() -> None:
    fix = host(replace(LINUX, memory=4 * GIB, swap=0))["host.memory"].finding.fix
    assert "sudo fallocate -l 16G /swapfile && sudo chmod 600 /swapfile" in fix
    assert "sudo mkswap /swapfile && sudo swapon /swapfile" in fix


def test_toolchains_and_locks_are_listed_as_they_are() -> None:
    none = toolchain(ToolchainFacts())["toolchain.suites"]
    assert "no suite of the vendor was imported" in none
    assert "do not run on a chip" in none
    suites = (("hailo8", "dfc 3.33.0", None), ("ten", "dfc 5.1.0", None))
    both = toolchain(ToolchainFacts(suites, ("3.x: hailo8", "5.x: ten")))
    assert both["toolchain.suites"].strip() == "hailo8 (dfc 3.33.0); ten (dfc 5.1.0)"
    assert both["toolchain.lock"].strip() == "locked: 3.x: hailo8, 5.x: ten"


@pytest.mark.parametrize(
    ("system", "text", "flags"),
    [
        ("Linux", "processor : 0\nflags\t\t: fpu avx avx2\n", {"fpu", "avx", "avx2"}),
        ("Linux", "Features\t: fp asimd\n", {"fp", "asimd"}),
        ("Linux", "no such line\n", None),
        ("Windows", "flags : avx\n", None),
    ],
)
def test_flags_of_the_processor_are_read(
    system: str, text: str, flags: set[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts, "read", lambda _: text)
    assert facts._cpu_flags(system) == flags


def test_docker_from_a_snap_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "snap" / "bin" / "docker"
    program.parent.mkdir(parents=True)
    program.write_text("")
    monkeypatch.setattr(
        facts.shutil, "which", lambda name: str(program) if name == "docker" else None
    )
    monkeypatch.setattr(facts, "run", lambda *_args, **_more: None)
    monkeypatch.chdir(tmp_path)
    found = facts.collect_host()
    assert found.snap_docker
    assert "snap" in host(replace(LINUX, snap_docker=True))["host.client"].finding.message


def test_logs_go_on_after_standard_input(tmp_path: Path) -> None:
    from pathlib import Path as AnyPath

    log = tmp_path / "second.log"
    log.write_text(
        "docker: permission denied while trying to connect to the Docker daemon socket\n"
    )
    alone = explain_logs([log], io.BytesIO()).findings
    found = explain_logs([AnyPath("-"), log], io.BytesIO(b"nothing in here\n")).findings
    assert alone
    assert [one.id for one in found] == [one.id for one in alone]
    assert found[0].file == str(log)


def test_what_the_lists_say_reaches_the_finding() -> None:
    entries = load_catalogue().values()
    assert any(entry.recipe for entry in entries)
    assert any(entry.confirm for entry in entries)
    assert any(entry.yields_to for entry in entries)
    assert any(entry.umbrella for entry in entries)
    assert any(entry.where for entry in entries)
    assert any(entry.hint for entry in entries)


@pytest.mark.parametrize(
    ("severity", "asked", "then", "said"),
    [
        ("error", None, "possible", ranking._CONFIRM),
        ("error", "look at x", "possible", "look at x"),
        ("possible", "look at x", "possible", "look at x"),
        ("info", "look at x", "info", None),
    ],
)
def test_a_possible_cause_says_what_would_make_it_sure(
    severity: str, asked: str | None, then: str, said: str | None
) -> None:
    given = Diagnosis("X", "run", severity, "user", "cause", "remedy")  # type: ignore[arg-type]
    found = ranking.possible(given, asked)
    assert (found.severity, found.confirm) == (then, said)


def test_messages_of_other_languages_are_known_in_any_case_and_keep_their_words() -> None:
    told = to_english("bash: foo: Aucun fichier ou dossier de ce type")
    assert "No such file or directory" in told
    assert "No such file or directory" in to_english("AUCUN FICHIER OU DOSSIER DE CE TYPE")
    assert "Unable to locate package hailo-h8" in to_english(
        "E: Impossible de trouver le paquet hailo-h8"
    )


def test_facts_of_the_engine_that_doctor_asks_are_kept() -> None:
    away = replace(ENGINE, info=replace(ABOUT, sandbox="bubblewrap", boxed=True))
    assert "bubblewrap boxes its jobs" in engine(away)["engine.reached"].finding.message
