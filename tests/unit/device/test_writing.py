"""What this side writes: told by name where it fails, nothing half-done, nothing left over."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import asyncssh
import pytest

from orchestrator.cli.app import run
from orchestrator.device import registry, trust
from orchestrator.device.base import DeviceSpec
from orchestrator.device.bundle import BundleFile, write_bundle
from orchestrator.device.files import file_digest
from orchestrator.device.release import write_release
from orchestrator.files import make_scratch, replacing, scratch, write_atomic


def refuse(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """Let every write of a new file fail as on a full or a protected disk."""

    def fail(number: int, *_: object, **__: object) -> object:
        os.close(number)
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fdopen", fail)


def _devices(folder: Path) -> Path:
    return registry.save_user_device(DeviceSpec(name="pi", host="pi5.local"))


def _trust(folder: Path) -> Path:
    key = asyncssh.generate_private_key("ssh-ed25519").convert_to_public()
    return trust.add_trust("pi5.local", key, comment="test")


def _release(folder: Path) -> Path:
    write_release(folder, model="m", arch="a", hef=folder / "m.hef", labels=["cat"])
    return folder / "labels.txt"


def _bundle(folder: Path) -> Path:
    write_bundle([BundleFile(name="run.py", data=b"pass\n")], folder / "bundle")
    return folder / "bundle" / "run.py"


@pytest.mark.parametrize("write", [_devices, _trust, _release, _bundle])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_a_refused_write_names_the_file_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], Path], code: int
) -> None:
    monkeypatch.setenv("HEFSMITH_DATA", str(tmp_path / "data"))
    with monkeypatch.context() as patch:
        refuse(patch, code)
        with pytest.raises(OSError, match="nothing was written") as told:
            write(tmp_path)
    assert told.value.errno == code
    assert (" are needed" in str(told.value)) == (code == errno.ENOSPC)
    left = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert left == []
    assert write(tmp_path) == Path(str(told.value.filename))


def test_what_was_there_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "devices.json"
    path.write_text("before")
    with monkeypatch.context() as patch:
        refuse(patch, errno.ENOSPC)
        with pytest.raises(OSError, match="what was there is kept; 5 bytes are needed"):
            write_atomic(path, "after")
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_of_the_maker_is_its_own(tmp_path: Path) -> None:
    with pytest.raises(ConnectionError, match="cut"), replacing(tmp_path / "x"):
        raise ConnectionResetError(errno.ECONNRESET, "cut")
    assert list(tmp_path.iterdir()) == []


def test_the_command_tells_it_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEFSMITH_DATA", str(tmp_path / "data"))
    refuse(monkeypatch, errno.ENOSPC)
    assert run(["device", "add", "pi", "pi@pi5.local"]) == 2
    told = capsys.readouterr().err
    assert "devices.json: No space left on device: nothing was written" in told
    assert "Traceback" not in told


def test_left_over_folders_of_processes_that_are_gone_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    script = (
        "import os, tempfile\n"
        "from orchestrator.files import make_scratch\n"
        f"tempfile.tempdir = {str(tmp_path)!r}\n"
        "folder = make_scratch('hefsmith-device')\n"
        "(folder / 'big').write_bytes(bytes(1000))\n"
        "print(folder, flush=True)\n"
        "os._exit(9)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    left = Path(done.stdout.strip())
    assert left.is_dir(), done.stderr
    (tmp_path / "hefsmith-device-of-somebody").mkdir()
    (tmp_path / "other").mkdir()
    mine = make_scratch("hefsmith-device")
    assert not left.exists()
    with scratch("hefsmith-device") as second:
        assert mine.is_dir()
        assert second.is_dir()
    assert not second.exists()
    assert (tmp_path / "hefsmith-device-of-somebody").is_dir()


def test_a_digest_takes_little_memory(tmp_path: Path) -> None:
    """Each thread of a fleet keeps what it took at most: 1 MiB blocks were 40 MB in all."""
    path = tmp_path / "big"
    path.write_bytes(bytes(8 << 20))
    tracemalloc.start()
    assert file_digest(path)[1] == 8 << 20
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 400_000
