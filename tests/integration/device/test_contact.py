"""``hef device check`` on a stand-in Pi behind a real sshd, with trouble planted in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .pi import Pi

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

Start = Callable[..., Pi]

HOLD = (
    "import sys, time, hailo_platform as h\n"
    "p = h.VDevice.create_params()\n"
    "p.scheduling_algorithm = h.HailoSchedulingAlgorithm.ROUND_ROBIN\n"
    "p.multi_process_service = True\n"
    "p.group_id = 'SHARED'\n"
    "d = h.VDevice(p)\n"
    "open('/tmp/held', 'w').close()\n"
    "time.sleep(900)\n"
)


def check(pi: Pi, folder: Path, *add: str, shared: bool) -> tuple[int, dict[str, dict[str, str]]]:
    """Add the Pi under a telling name and check it; returns the exit code and the rows."""
    env = {
        **os.environ, "HEFSMITH_DATA": str(folder / "data"), "HEFSMITH_ENGINE": "local",
        "HEFSMITH_CACHE": str(folder / "cache"),
    }  # fmt: skip

    def hef(*words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "orchestrator", *map(str, words)],
            capture_output=True, text=True, timeout=400, cwd=folder, env=env, check=False,
        )  # fmt: skip

    (folder / "data").mkdir(exist_ok=True)
    more = ["--shared"] if shared else []
    added = hef("device", "add", "greenhouse", f"pi@{pi.address}", "-i", pi.key, *more, *add)
    assert added.returncode == 0, added.stderr
    fingerprint = pi.sh("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").split()[1]
    assert hef("device", "trust", "greenhouse", "--fingerprint", fingerprint).returncode == 0
    done = hef("device", "check", "greenhouse", "--json")
    assert done.stdout, done.stderr
    if os.environ.get("HEFSMITH_SHOW"):
        sys.stdout.write((folder / "contact-report.txt").read_text())
    report = (folder / "contact-report.json").read_text() + (
        folder / "contact-report.txt"
    ).read_text()
    for private in (
        "greenhouse",
        "hold.py",
        "hunter2",
        pi.address,
        pi.container[:12],
        str(folder),
        str(Path.home()),
    ):
        assert private not in report, private
    return done.returncode, {row["check"]: row for row in json.loads(done.stdout)["rows"]}


def hold(pi: Pi) -> None:
    """Let another program of the Pi open the chip through the service."""
    pi.sh(f"cat > /tmp/hold.py <<'END'\n{HOLD}END", user="pi")
    pi.sh_later("su pi -c 'python3 /tmp/hold.py rtsp://maria:hunter2@cam >/tmp/hold.log 2>&1'")
    pi.sh(
        "for i in $(seq 100); do [ -e /tmp/held ] && exit 0; sleep 0.2; done;"
        " cat /tmp/hold.log; exit 1"
    )


def test_numpy_2_old_firmware_and_a_shared_chip_are_in_the_table(
    start_pi: Start, tmp_path: Path
) -> None:
    pi = start_pi(
        {
            "HEFSMITH_EMULATED_QUIRKS": "numpy2-nbytes",
            "HEFSMITH_EMULATED_FAULT": "old_firmware",
        }
    )
    hold(pi)
    code, rows = check(pi, tmp_path, shared=True)
    assert code == 4
    firmware = rows["Firmware and driver"]
    assert (firmware["state"], firmware["found"]) == ("error", "firmware 4.22.0, library 4.23.0")
    assert "reboot" in firmware["fix"]
    assert rows["Chip is free"]["state"] == "ok"
    assert "shared" in rows["Chip is free"]["found"]
    numpy = rows["numpy"]
    assert numpy["state"] == "error"
    assert "numpy<2" in numpy["fix"]
    assert "HAILO_UNSUPPORTED_FW_VERSION" in rows["run by InferModel"]["found"]
    assert rows["run by InferModel"]["fix"]


def test_a_shared_chip_runs_beside_another_program_and_otherwise_not(
    start_pi: Start, tmp_path: Path
) -> None:
    pi = start_pi({"HEFSMITH_EMULATED_CHIP": "hailo8"})
    hold(pi)
    for shared in (True, False):
        folder = tmp_path / str(shared)
        folder.mkdir()
        code, rows = check(pi, folder, shared=shared)
        busy = rows["Chip is free"]
        assert "python3" in busy["found"]
        run = rows["run by InferModel"]
        if shared:
            assert (code, busy["state"], run["state"]) == (0, "ok", "ok"), rows
            assert "shared" in busy["found"]
            assert rows["rate"]["state"] == "ok"
        else:
            assert (code, busy["state"], run["state"]) == (4, "warning", "error"), rows
            assert "shared: true" in busy["fix"]
            assert run["fix"]
