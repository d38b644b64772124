"""One session: commands, files, jobs. Against the embedded device, which is a real SSH server."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path, PurePosixPath

import asyncssh
import pytest

from orchestrator.device.base import EMBEDDED, DeviceSpec
from orchestrator.device.connection_pool import ConnectionPool
from orchestrator.device.embedded import EmbeddedServer
from orchestrator.device.faults import CommandTimeout, DeviceLacks, HostKeyChanged, LinkLost
from orchestrator.device.replies import HELLO
from orchestrator.device.services import service_stopped
from orchestrator.device.session import SshSession
from orchestrator.errors import DeviceError

from .making import cut


def test_a_command_gives_its_output_and_its_status(session: SshSession) -> None:
    done = session.run(["python3", "-c", "import sys; print(sys.stdin.read()); sys.exit(3)"],
                       stdin=b"hello")  # fmt: skip
    assert (done.code, done.out, bool(done)) == (3, "hello\n", False)


def test_words_with_quotes_and_dollars_arrive_as_they_are(session: SshSession) -> None:
    words = ["a b", "$HOME", "it's", '"x"', "*", "\\", "é"]
    code = "import sys, json; print(json.dumps(sys.argv[1:]))"
    done = session.run(["python3", "-c", code, *words], env={"A": "$B 'c'"})
    import json

    assert json.loads(done.out) == words


def test_an_environment_is_set_for_one_command(session: SshSession) -> None:
    code = "import os; print(os.environ['A'])"
    assert session.run(["python3", "-c", code], env={"A": "$B 'c'"}).out == "$B 'c'\n"


def test_a_command_that_is_not_there_is_a_result(session: SshSession) -> None:
    assert session.run(["no-such-command"]).code == 127


@pytest.mark.second_try("seconds of a shared machine are asserted")
def test_a_command_past_its_limit_is_killed_with_its_children(session: SshSession) -> None:
    with pytest.raises(CommandTimeout, match="limit of 1 s"):
        session.run(["sh", "-c", "sleep 97.25 & wait"], timeout=1)
    deadline = time.monotonic() + 45
    while "sleep\0" + "97.25" in _command_lines():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
def test_the_interpreter_is_ours_and_has_the_stand_ins(session: SshSession) -> None:
    code = "import sys, hailo_platform; print(sys.executable, hailo_platform.__emulated__)"
    assert session.run(["python3", "-c", code]).out.split() == [sys.executable, "True"]
    assert "EMULATED" in session.run(["hailortcli", "fw-control", "identify"]).out


def test_the_users_own_home_and_secrets_do_not_reach_the_device(
    session: SshSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = session.run(["env"]).out
    assert f"HOME={session.home}" in out
    assert "SSH_AUTH_SOCK" not in out
    assert os.environ.get("HEFSMITH_DATA", "/nowhere") not in out


@pytest.mark.parametrize("size", [0, 1, 131_072, 1_000_001])
def test_a_file_goes_there_and_back(session: SshSession, tmp_path: Path, size: int) -> None:
    local, back = tmp_path / "local", tmp_path / "back"
    local.write_bytes(os.urandom(size))
    session.put(local, PurePosixPath("some folder/file.bin"))
    there = Path(str(session.home)) / "some folder"
    assert [path.name for path in there.iterdir()] == ["file.bin"]
    session.get(PurePosixPath("some folder/file.bin"), back)
    assert back.read_bytes() == local.read_bytes()


def test_a_missing_file_leaves_the_local_one_alone(session: SshSession, tmp_path: Path) -> None:
    local = tmp_path / "keep"
    local.write_text("mine")
    with pytest.raises(DeviceError, match="No such file"):
        session.get(PurePosixPath("nothing"), local)
    assert local.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [local]
    assert session.run(["true"]).code == 0


def test_a_place_that_may_not_be_written_is_told(session: SshSession, tmp_path: Path) -> None:
    local = tmp_path / "x"
    local.write_bytes(b"1" * 600_000)
    with pytest.raises(DeviceError, match=r"/proc/"):
        session.put(local, PurePosixPath("/proc/no/such"))
    session.put(local, PurePosixPath("fine"))


JOB = """
import json, sys
request = json.load(sys.stdin)
print("a library says hello")
print(json.dumps({"event": "progress", "done": 1}))
print("{not json")
print("warning", file=sys.stderr)
open("result.bin", "wb").write(open("input.bin", "rb").read() * request["times"])
sys.exit(request["status"])
"""


def test_a_job_gets_files_and_request_and_gives_events_and_files(
    session: SshSession, tmp_path: Path
) -> None:
    script, given, back = tmp_path / "job.py", tmp_path / "given", tmp_path / "out" / "back"
    script.write_text(JOB)
    given.write_bytes(b"abc")
    seen: list[object] = []
    result = session.run_job(
        script,
        files={"input.bin": given},
        request={"times": 2, "status": 0},
        fetch={"result.bin": back},
        on_event=seen.append,
    )
    assert result
    assert result.events == ({"event": "progress", "done": 1},)
    assert seen == list(result.events)
    assert sorted(result.log.splitlines()) == ["a library says hello", "warning", "{not json"]
    assert back.read_bytes() == b"abcabc"
    assert list((Path(str(session.home)) / ".hefsmith" / "jobs").iterdir()) == []


def test_a_job_that_fails_is_a_result_and_fetches_nothing(
    session: SshSession, tmp_path: Path
) -> None:
    script, given, back = tmp_path / "job.py", tmp_path / "given", tmp_path / "back"
    script.write_text(JOB)
    given.write_bytes(b"abc")
    result = session.run_job(
        script, files={"input.bin": given}, request={"times": 1, "status": 5},
        fetch={"result.bin": back},
    )  # fmt: skip
    assert (result.code, result.files, back.exists()) == (5, {}, False)


def test_a_job_past_its_limit_is_killed_and_its_folder_removed(
    session: SshSession, tmp_path: Path
) -> None:
    script = tmp_path / "job.py"
    script.write_text("import time\nprint('so far', flush=True)\ntime.sleep(60)\n")
    with pytest.raises(CommandTimeout, match=r"job\.py ran past") as late:
        session.run_job(script, timeout=1)
    assert late.value.hint == "so far"
    assert list((Path(str(session.home)) / ".hefsmith" / "jobs").iterdir()) == []


@pytest.mark.second_try("a real link is cut or slowed")
def test_a_job_dies_with_the_connection(
    pool: ConnectionPool, device: DeviceSpec, tmp_path: Path
) -> None:
    script, mark = tmp_path / "job.py", tmp_path / "pid"
    script.write_text(
        f"import os, time\nopen({str(mark)!r}, 'w').write(str(os.getpid()))\n"
        'print(\'{"event": "begun"}\', flush=True)\ntime.sleep(60)\n'
    )
    session = pool.connect(device)
    with pytest.raises(LinkLost):
        session.run_job(script, on_event=lambda _: cut(session))
    deadline = time.monotonic() + 45
    while Path(f"/proc/{mark.read_text()}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    session.close()


def test_what_a_release_holds_is_not_sent_again_for_a_job(
    session: SshSession, tmp_path: Path
) -> None:
    from orchestrator.device.ship import ship

    from .making import make_release

    release = make_release(tmp_path)
    ship(session, release)
    script = tmp_path / "job.py"
    script.write_text("import os\nprint(os.stat('model.hef').st_nlink)\n")
    result = session.run_job(script, files={"model.hef": release.files[release.hef]})
    assert int(result.log) > 1


def test_without_python_the_device_is_told_to_lack_it(
    pool: ConnectionPool, device: DeviceSpec
) -> None:
    with pool.connect(replace(device, python="/no/python9")) as session:
        with pytest.raises(DeviceLacks, match="/no/python9"):
            session.identify()
        assert session.run(["true"]).code == 0


def test_a_login_script_that_prints_does_not_confuse_us(
    pool: ConnectionPool, device: DeviceSpec
) -> None:
    noisy = 'sh -c \'echo Welcome; printf "%5000s" x; exec python3 "$@"\' sh'
    with pool.connect(replace(device, python=noisy)) as session:
        assert session.ask(HELLO).protocol == 1


def test_another_key_than_the_embedded_servers_own_is_refused(
    pool: ConnectionPool, device: DeviceSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool.connect(device).close()
    server = pool._embedded[device]
    monkeypatch.setattr(server, "host_key", asyncssh.generate_private_key("ssh-ed25519"))
    with pytest.raises((HostKeyChanged, asyncssh.HostKeyNotVerifiable)):
        pool.connect(device)


def test_nobody_else_can_log_in_to_the_embedded_device(
    pool: ConnectionPool, device: DeviceSpec
) -> None:
    pool.connect(device).close()
    server = pool._embedded[device]
    done = subprocess.run(
        ["ssh", "-p", str(server.port), "-o", "StrictHostKeyChecking=no", "-o", "BatchMode=yes",
         "-o", "UserKnownHostsFile=/dev/null", "pi@127.0.0.1", "id"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 255
    assert "Permission denied" in done.stderr


def test_closing_the_hub_leaves_no_folder_and_no_process() -> None:
    with ConnectionPool() as own:
        session = own.connect(replace(EMBEDDED, name="own"))
        server = own._embedded[session.spec]
        assert isinstance(server, EmbeddedServer)
        folder = server.folder
        session.ask(HELLO)
    assert not folder.exists()


def test_a_service_is_started_again_after_an_error(
    pool: ConnectionPool, device: DeviceSpec, tmp_path: Path
) -> None:
    with pool.connect(device) as session:
        log = _fake_systemctl(session)
        with pytest.raises(ValueError, match="boom"), service_stopped(session, "frigate.service"):
            raise ValueError("boom")
        assert log.read_text().split() == ["is-active", "stop", "start"]


@pytest.mark.second_try("a real link is cut or slowed")
def test_a_service_is_started_again_when_the_connection_dies(
    pool: ConnectionPool, device: DeviceSpec
) -> None:
    session = pool.connect(device)
    log = _fake_systemctl(session)
    with pytest.raises(LinkLost), service_stopped(session, "frigate.service"):
        cut(session)
        session.ask(HELLO)
    deadline = time.monotonic() + 45
    while log.read_text().split() != ["is-active", "stop", "start"]:
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
    session.close()


def _fake_systemctl(session: SshSession) -> Path:
    """Give the embedded device a systemctl that notes what it is asked."""
    tools = Path(str(session.home)).parent / "bin"
    log = tools / "log"
    (tools / "sudo").write_text('#!/bin/sh\nshift\nexec "$@"\n')
    (tools / "systemctl").write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$2" >>{log}\n[ "$2" != is-active ] || echo active\n'
    )
    for name in ("sudo", "systemctl"):
        (tools / name).chmod(0o755)
    return log


def _command_lines() -> str:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_text())
        except OSError:
            continue
    return "\n".join(found)
