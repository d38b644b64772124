"""A service that runs by now has got over what it said before it was started again."""

from __future__ import annotations

import pytest

from orchestrator.diagnose.log_reader import read_log

NODE = (
    "Jan 06 10:00:00 pi hailort_service[800]: "
    "[HailoRT] [error] Failed to open device file /dev/hailo0 with error 2"
)
NO_PROGRAM = (
    "Jan 06 10:00:00 pi systemd[1]: {}.service: Main process exited, code=exited, status=203/EXEC"
)
HEAD = "\u25cf hailort.service - HailoRT service\n     Active: active (running) since Mon; 1min ago"
STARTED = "Jan 06 10:05:00 pi systemd[1]: Started {}"
OTHER = NO_PROGRAM.format("other")


def asserted(*parts: str) -> list[str]:
    """Return the ids of what is asserted."""
    found = read_log("\n".join(parts).split("\n")).findings()
    return [one.id for one in found if one.severity == "fatal"]


@pytest.mark.parametrize("started", ["hailort.service - HailoRT service.", "HailoRT service."])
@pytest.mark.parametrize("said", [NODE, NO_PROGRAM.format("hailort")])
def test_what_it_said_before_it_was_started_again_is_over(said: str, started: str) -> None:
    assert asserted(HEAD, said, STARTED.format(started)) == []


@pytest.mark.parametrize(
    ("parts", "cause"),
    [
        ((HEAD, STARTED.format("hailort.service"), NODE), "R33"),
        ((HEAD, NODE), "R33"),
        ((HEAD, OTHER, STARTED.format("hailort.service")), "G34"),
        ((HEAD, NODE, STARTED.format("another.service")), "R33"),
        (
            (HEAD.replace("active (running)", "failed"), NODE, STARTED.format("hailort.service")),
            "R33",
        ),
        ((NODE, HEAD, STARTED.format("hailort.service")), "R33"),
    ],
)
def test_what_it_says_since_and_what_others_say_stays(parts: tuple[str, ...], cause: str) -> None:
    assert cause in asserted(*parts)
