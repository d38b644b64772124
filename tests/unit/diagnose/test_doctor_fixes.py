"""The lines that the doctor's fixes for a device give to a shell run as they are written.

Stand-ins take what the real programs take (:mod:`tests.unit.diagnose.stand_ins`); a wrong option or
package name in a fix is a usage error there, too.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import Any

import pytest

from orchestrator.device.identity import read_identity
from orchestrator.device.replies import Facts
from orchestrator.diagnose.doctor.checks import run_checks
from orchestrator.diagnose.doctor.checks_device import CHECKS, DeviceFacts
from tests.unit.device.recorded import MISMATCH, facts, output
from tests.unit.diagnose.stand_ins import TAKES, write

_CARD_8, _CARD_10 = {"device": "0x2864"}, {"device": "0x45c4"}
_NO_MODULE = {"/proc/modules": "", "/sys/module/hailo_pci/version": None}
_NO_MODULE_10 = {"/proc/modules": "", "/sys/module/hailo1x_pci/version": None}
_BOTH = {"/proc/modules": "hailo_pci 1 0 - Live 0x0\nhailo1x_pci 1 0 - Live 0x0"}
_HOLDER = {"pid": 812, "command": "frigate", "user": "root", "unit": "frigate.service"}
_OLD_DRIVER = output(err=MISMATCH.format(driver="4.20.0", library="4.22.0"), code=76)


def _log(said: str) -> dict[str, Any]:
    return {"identify": output(), "kernel_log": output(said)}


SITUATIONS: dict[str, Facts] = {
    "no module": facts(
        "4.23.0",
        pci=[_CARD_8],
        files=_NO_MODULE,
        commands={"identify": output(), "modinfo_hailo_pci": None},
    ),
    "not loaded": facts("4.23.0", pci=[_CARD_8], files=_NO_MODULE, commands={"identify": output()}),
    "no module, 5.x": facts(
        "5.2.0", pci=[_CARD_10], files=_NO_MODULE_10, commands={"identify": output()}
    ),
    "other line": facts("5.1.1", pci=[_CARD_8], commands={"identify": output()}),
    "other line, 4.x": facts("4.23.0", pci=[_CARD_10], commands={"identify": output()}),
    "signature": facts(
        "4.23.0", pci=[_CARD_8], files=_NO_MODULE, commands=_log("Key was rejected by service")
    ),
    "msi": facts("4.23.0", pci=[_CARD_8], commands=_log("hailo: Failed to enable MSI -28\n")),
    "boot": facts(
        "5.2.0", pci=[_CARD_10], commands=_log("hailo1x: Timeout waiting for vDMA boot data\n")
    ),
    "mismatch": facts("4.22.0", pci=[_CARD_8], commands={"identify": _OLD_DRIVER}),
    "silent chip": facts(commands={"identify": None, "version": None}),
    "pages": facts("4.23.0", page_size=16384),
    "holder": facts("4.23.0", holders={"complete": True, "processes": [_HOLDER]}),
    "two drivers": facts("4.23.0", files=_BOTH),
}
#: Programs that only fixes name.
_MORE = {
    "reboot": "#!/bin/sh\nexit $#\n",
    "tee": "#!/bin/sh\n[ $# -gt 0 ] || exit 2\nwhile read -r line; do :; done\n",
}


def fixes(raw: Facts) -> list[tuple[str, str]]:
    """Return every line of a fix that is a command, without what stands behind ``#``."""
    seen: Any = DeviceFacts("pi5", read_identity(raw, host_time=raw.time), raw)
    programs = {*TAKES, "sudo", "echo"}
    found = []
    for result in run_checks(CHECKS, seen):
        for line in (result.finding.fix or "").split("\n"):
            command = re.split(r"\s{2,}#", line)[0].strip()
            first = command.split(" ")[0]
            # A sentence may begin with the name of a program; then it has a capital or a stop.
            if first in programs and not re.search(r"[.:,] |\.$| (?:and|or|then) ", command):
                found.append((result.id, command))
    return found


COMMANDS = sorted({(name, *one) for name, raw in SITUATIONS.items() for one in fixes(raw)})


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = write(tmp_path_factory.mktemp("programs"))
    for name, text in _MORE.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return str(folder)


def test_the_situations_have_fixes_that_are_commands() -> None:
    assert len(COMMANDS) >= 8, COMMANDS
    assert {name for name, _, _ in COMMANDS} >= {"no module", "other line", "pages"}


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(("name", "check", "command"), COMMANDS)
def test_a_line_of_a_fix_runs_with_the_arguments_that_its_programs_take(
    name: str, check: str, command: str, path: str
) -> None:
    done = subprocess.run(
        [str(shutil.which("bash")), "-e", "-o", "pipefail", "-c", command],
        env={"PATH": path, "HOME": "/home/me", "USER": "me"}, input="",
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, (name, check, command, done.stderr)
    assert done.stderr == "", (name, check, command)
