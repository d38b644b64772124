"""What a later line of a paste refutes, and what only looks so."""

from __future__ import annotations

import pytest

from orchestrator.diagnose.post.refuted import is_refuted

GONE = "ls: cannot access '/dev/hailo0': No such file or directory"
LOOK = "pi@pi5:~ $ ls /dev/hailo0"


@pytest.mark.parametrize(
    ("there", "refuted"),
    [
        ([LOOK, "/dev/hailo0"], True),
        ([LOOK, "crw-rw-rw- 1 root root 511, 0 Jan  9 10:11 /dev/hailo0"], True),
        ([LOOK, "/dev/hailo1"], False),
        (["pi@other:~ $ ls /dev/hailo0", "/dev/hailo0"], False),
        (["pi@pi5:~ $ ssh pi@other ls /dev/hailo0", "/dev/hailo0"], False),
        (["It comes and goes, sometimes it is there.", LOOK, "/dev/hailo0"], False),
    ],
)
def test_a_later_look_refutes_only_the_same_on_the_same_machine(
    there: list[str], refuted: bool
) -> None:
    silent, _ = is_refuted([LOOK, GONE, *there])
    assert (1 in silent) is refuted


def test_prompts_without_a_machine_refute_nothing_where_the_paste_has_several() -> None:
    paste = ["In the container:", "$ ls /dev/hailo0", GONE, "On the host:", "$ ls /dev/hailo0"]
    assert is_refuted([*paste, "/dev/hailo0"])[0] == set()
    assert is_refuted([*paste[1:3], *paste[4:], "/dev/hailo0"])[0] == {1}


def test_a_program_that_opened_it_too_early_is_only_doubted() -> None:
    failed = "[HailoRT] [error] CHECK failed - Failed to open device file /dev/hailo0 with error 2"
    assert is_refuted([LOOK.replace("ls", "run"), failed, LOOK, "/dev/hailo0"]) == (set(), {1})


@pytest.mark.parametrize(
    ("said", "silent", "doubted"),
    [
        ("It hung for an hour, so I killed it.", {1}, set()),
        ("I killed Chromium to have more memory.", set(), set()),
        ("me@box:~$ kill -9 21311", set(), {1}),
    ],
)
def test_who_killed_it(said: str, silent: set[int], doubted: set[int]) -> None:
    assert is_refuted(["[info] Starting Layer Noise Analysis", "Killed", said]) == (silent, doubted)


@pytest.mark.parametrize(
    ("more", "doubted"),
    [("", True), ("me@box:~$ ./streamer cam0", False), ("Killed", False)],
)
def test_the_kernel_ended_a_program_that_nothing_else_speaks_of(more: str, doubted: bool) -> None:
    end = "[ 912.1] Out of memory: Killed process 4410 (streamer) total-vm:9120444kB"
    assert (0 in is_refuted([end, more])[1]) is doubted
    assert is_refuted([end.replace("streamer", "python3"), more])[1] == set()


def test_the_same_look_again_finds_it() -> None:
    first = ["me@box:~$ docker ps", "permission denied while trying to connect to the socket"]
    again = ["me@box:~$ docker ps", "CONTAINER ID   IMAGE"]
    assert is_refuted([*first, *again])[0] == {1}
    assert is_refuted([*first, "me@box:~$ sudo docker ps", "CONTAINER ID   IMAGE"])[0] == set()


@pytest.mark.parametrize(
    ("line", "gone"),
    [
        ("The compiler no longer prints `Reducing optimization level to 1`.", True),
        ("Since the update I no longer see HEF format is not compatible with device.", True),
        ("It no longer shows that, but ends so: No module named 'hailo_platform'", False),
        ("[warning] Reducing optimization level to 1", False),
    ],
)
def test_a_message_that_comes_no_more_is_none(line: str, gone: bool) -> None:
    assert is_refuted([line]) == ({0} if gone else set(), set())
