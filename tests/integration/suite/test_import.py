"""A real zip with a real image goes into a real engine, and comes out as a toolchain."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.cli.toolchain_check import write_probe
from tests.integration.suite import fake_suite

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

TAG = fake_suite.TAG


def hef(*words: str, data: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator", *words],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "HEFSMITH_DATA": str(data)},
    )
    if check:
        assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def imported(suite_zip: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:  # type: ignore[type-arg]
    data = tmp_path_factory.mktemp("data")
    watched = subprocess.Popen(
        [sys.executable, "-m", "orchestrator", "toolchain", "import", str(suite_zip), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "HEFSMITH_DATA": str(data)},
    )
    out, err = watched.communicate(timeout=600)
    assert watched.returncode == 0, err
    assert "checking" in err
    assert "MB/s" in err
    assert "left" in err
    return data, json.loads(out)


def test_import_asks_the_image_and_trusts_no_name(imported: tuple[Path, dict]) -> None:  # type: ignore[type-arg]
    _, row = imported
    assert row["versions"]["dfc"] == "3.33.0"
    assert row["versions"]["model_zoo"] == "2.17.0"
    assert row["versions"]["hailort"] == "4.23.0"
    assert row["line"] == "3.x"
    assert row["chips"] == ["hailo8", "hailo8l", "hailo8r"]
    assert row["hailort"] == ">=4.23"
    assert row["python"] == "/local/workspace/hailo_virtualenv/bin/python"
    assert row["zoo"] == "/local/workspace/hailo_model_zoo/hailo_model_zoo"
    assert row["tags"] == [TAG]
    assert row["image"] == fake_suite.docker("image", "inspect", "-f", "{{.Id}}", TAG)


def test_list_shows_it_and_notices_when_the_engine_lost_it(
    imported: tuple[Path, dict],
    suite_zip: Path,  # type: ignore[type-arg]
) -> None:
    data, row = imported
    listed = json.loads(hef("toolchain", "list", "--json", data=data).stdout)
    assert [one["name"] for one in listed["toolchains"]] == [row["name"]]
    assert listed["toolchains"][0]["present"] is True
    other = "org.hefsmith.test/elsewhere:1"
    fake_suite.docker("tag", TAG, other)
    fake_suite.docker("rmi", TAG)
    try:
        # Found by id: the name does not matter.
        listed = json.loads(hef("toolchain", "list", "--json", data=data).stdout)
        assert listed["toolchains"][0]["present"] is True
    finally:
        fake_suite.docker("tag", other, TAG)
        fake_suite.docker("rmi", other)


def test_use_pins_the_digest_for_the_project(
    imported: tuple[Path, dict],
    tmp_path: Path,  # type: ignore[type-arg]
) -> None:
    data, row = imported
    hef("toolchain", "use", row["name"], "--project", str(tmp_path), data=data)
    lock = json.loads((tmp_path / "hef.lock").read_text())
    assert lock["toolchains"]["3"]["image"] == row["image"]


def test_the_same_image_under_its_own_name_is_the_same_toolchain(
    imported: tuple[Path, dict],  # type: ignore[type-arg]
) -> None:
    data, row = imported
    again = json.loads(hef("toolchain", "import", TAG, "--json", data=data).stdout)
    assert (again["name"], again["image"]) == (row["name"], row["image"])


def test_the_compiler_fails_without_the_user_and_runs_with_what_we_set(
    imported: tuple[Path, dict],  # type: ignore[type-arg]
) -> None:
    from orchestrator.toolchain.registry import ImportedToolchain
    from orchestrator.toolchain.suite import describe

    _, row = imported
    described = describe(
        ImportedToolchain(
            name=row["name"], kind="suite", engine=row["engine"], image=row["image"],
            python=row["python"], versions=row["versions"],
        )
    )  # fmt: skip
    program = (
        "from hailo_sdk_client import ClientRunner\n"
        "runner = ClientRunner(hw_arch='hailo8l')\n"
        "try:\n    runner.compile()\n"
        "except KeyError as error:\n    print('trap', error)\n"
        "except Exception as error:\n    print('past the trap', type(error).__name__)\n"
    )
    base = ["run", "--rm", "--network", "none", "--user", "4321:4321", "--entrypoint", ""]
    bare = fake_suite.docker(*base, row["image"], row["python"], "-c", program)
    assert "trap 'USER'" in bare
    env = [word for key, value in described.env.items() for word in ("-e", f"{key}={value}")]
    ours = fake_suite.docker(*base, *env, described.image, described.python, "-c", program)
    assert "past the trap" in ours


def test_a_truncated_download_is_refused_and_leaves_nothing(
    suite_zip: Path, tmp_path: Path
) -> None:
    cut = tmp_path / suite_zip.name
    with suite_zip.open("rb") as source, cut.open("wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
        target.truncate(suite_zip.stat().st_size // 2)
    done = hef("toolchain", "import", str(cut), data=tmp_path / "data", check=False)
    assert done.returncode == 6, done.stderr
    assert "download it again" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_archive_that_breaks_off_inside_is_the_engines_error_in_our_words(
    suite_zip: Path, tmp_path: Path
) -> None:
    import zipfile

    cut = tmp_path / "suite.tar.gz"
    with zipfile.ZipFile(suite_zip) as archive, archive.open(f"{fake_suite.STEM}.tar.gz") as inner:
        cut.write_bytes(inner.read(30 << 20))
    done = hef("toolchain", "import", str(cut), data=tmp_path / "data", check=False)
    assert done.returncode == 3, done.stderr
    assert "did not take" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_ordinary_image_is_no_toolchain(tmp_path: Path) -> None:
    base = os.environ.get("HEFSMITH_BASE_IMAGE", "debian:bookworm-20250520-slim")
    done = hef("toolchain", "import", base, data=tmp_path / "data", check=False)
    assert done.returncode == 6, done.stderr
    assert "no Hailo Dataflow Compiler" in done.stderr


def test_a_suite_is_asked_what_it_does(imported: tuple[Path, dict], tmp_path: Path) -> None:  # type: ignore[type-arg]
    """Three quirks are planted; the table has them, and so has the record."""
    data, row = imported
    quirks = "numpy-hn,bias-correction-fails,flat-rows"
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator", "toolchain", "check", row["name"],
         "--json", "--output", str(tmp_path / "report.json")],
        capture_output=True, text=True, timeout=900, check=False, cwd=tmp_path,
        env={**os.environ, "HEFSMITH_DATA": str(data), "HEFSMITH_EMULATED_QUIRKS": quirks,
             "HEFSMITH_CACHE": str(tmp_path / "cache")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = {one["check"]: one for one in json.loads(done.stdout)["rows"]}
    built = [one for check, one in rows.items() if "build" in check]
    assert len(built) == 3
    assert {one["state"] for one in built} == {"ok"}
    assert rows["the same build again"]["found"] == "all stages from the cache"
    assert rows["HN is plain JSON"]["found"].startswith("no (")
    assert rows["level 1 (bias correction)"]["state"] == "warning"
    assert rows["input (1, F) in the HN"]["found"].startswith("[[-1, 1, 1, 16]]")
    (record,) = (data / "toolchains").glob("*.json")
    answers = json.loads(record.read_text())["answers"]
    assert answers["level-1"].startswith("no AttributeError")
    assert (tmp_path / "report.txt").is_file()
    if os.environ.get("HEFSMITH_SHOW"):
        sys.stdout.write((tmp_path / "report.txt").read_text())
    # Bias correction runs here, where no quirk is planted: only the record says that it does not.
    project = write_probe(tmp_path / "project", "hailo8l", "1")
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator", "build", "probe", "--toolchain", row["name"],
         "--json"],
        capture_output=True, text=True, timeout=600, check=False, cwd=project,
        env={**os.environ, "HEFSMITH_DATA": str(data), "HEFSMITH_CACHE": str(tmp_path / "cache")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "as the contact test found" in done.stdout
