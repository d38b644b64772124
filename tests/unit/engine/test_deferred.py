"""Docker's SDK is imported without the library that only an engine behind SSH needs."""

from __future__ import annotations

import subprocess
import sys


def run(code: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_the_sdk_is_loaded_without_its_ssh_library() -> None:
    said = run(
        "import sys, orchestrator.engine.docker, docker, docker.errors\n"
        "from orchestrator.engine.failures import lost_errors\n"
        "lost_errors()\n"
        "print('docker' in sys.modules, 'paramiko.transport' in sys.modules)"
    )
    assert said == ["True", "False"]


def test_the_library_is_loaded_by_its_first_use_and_its_errors_are_known_then() -> None:
    said = run(
        "import sys, orchestrator.engine.docker\n"
        "from docker.transport import sshconn\n"
        "from orchestrator.engine.failures import lost_errors\n"
        "made = sshconn.paramiko.SSHClient()\n"
        "import paramiko\n"
        "print(paramiko.SSHException in lost_errors(), isinstance(made, paramiko.SSHClient))\n"
        "import paramiko.config\n"
        "print(paramiko.config.SSHConfig is sshconn.paramiko.SSHConfig)"
    )
    assert said == ["True", "True", "True"]


def test_a_library_that_is_loaded_or_not_installed_is_left_alone() -> None:
    said = run(
        "import sys, json\n"
        "from orchestrator.engine.deferred import defer, loaded\n"
        "defer('json'); defer('no_such_library')\n"
        "print(loaded('json') is json, 'no_such_library' in sys.modules)"
    )
    assert said == ["True", "False"]
