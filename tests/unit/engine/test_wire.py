"""Frames become lines, whatever way the network cuts them."""

from __future__ import annotations

import random
import socket
import struct
import threading

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engine.wire import LONGEST_LINE, STDERR, STDOUT, LineSplitter, Wire, split_lines


def frame(stream: int, data: bytes) -> bytes:
    return struct.pack(">BxxxL", stream, len(data)) + data


@given(
    st.lists(st.tuples(st.sampled_from([STDOUT, STDERR]), st.binary(max_size=40))),
    st.random_module(),
)
def test_cuts_and_interleaving_change_no_line(
    pieces: list[tuple[int, bytes]], _seed: object
) -> None:  # fmt: skip
    whole = {s: b"".join(data for stream, data in pieces if stream == s) for s in (1, 2)}
    got: dict[int, list[str]] = {1: [], 2: []}
    for stream, line in split_lines(iter(pieces)):
        got[stream].append(line)
    for stream, data in whole.items():
        expected = data.split(b"\n")
        if not expected[-1]:
            expected.pop()
        assert got[stream] == [one.decode("utf-8", "replace").rstrip("\r") for one in expected]


def test_a_line_without_end_is_handed_on_in_pieces() -> None:
    splitter = LineSplitter()
    lines = [line for _ in range(3) for line in splitter.feed(STDOUT, b"x" * LONGEST_LINE)]
    assert lines, "memory is not the limit"


def test_a_wire_reads_frames_in_any_pieces_and_writes_to_the_other_side() -> None:
    ours, theirs = socket.socketpair()
    wire = Wire(ours)
    data = frame(STDOUT, b"one\ntw") + frame(STDERR, b"err\n") + frame(STDOUT, b"o\n")
    rng = random.Random(3)

    def write() -> None:
        at = 0
        while at < len(data):
            step = rng.choice([1, 2, 5, 9])
            theirs.sendall(data[at : at + step])
            at += step
        assert theirs.recv(10) == b"go\n"
        theirs.close()

    writer = threading.Thread(target=write)
    writer.start()
    assert wire.send(b"go\n")
    assert list(split_lines(wire.frames())) == [(1, "one"), (2, "err"), (1, "two")]
    writer.join()
    wire.close()
    assert not wire.send(b"x"), "a closed wire takes nothing and does not raise"


def test_a_cut_frame_is_an_end_and_closing_wakes_the_reader() -> None:
    ours, theirs = socket.socketpair()
    theirs.sendall(frame(STDOUT, b"whole\n") + frame(STDOUT, b"half of it")[:12])
    theirs.close()
    wire = Wire(ours)
    assert list(split_lines(wire.frames())) == [(1, "whole")]
    wire.close()

    ours, theirs = socket.socketpair()
    wire = Wire(ours)
    seen: list[tuple[int, str]] = []
    reader = threading.Thread(target=lambda: seen.extend(split_lines(wire.frames())))
    reader.start()
    wire.close()
    reader.join(60)
    assert not reader.is_alive()
    theirs.close()
