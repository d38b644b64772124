"""Names that end in .local, where the system's resolver does not know them."""

from __future__ import annotations

import socket
import struct
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.device.mdns import decode_answer, encode_question, find_local


def answer(name: str, *records: tuple[int, bytes], compressed: bool = False) -> bytes:
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"
    packet = struct.pack("!6H", 0, 0x8400, 0, len(records), 0, 0)
    for number, (kind, data) in enumerate(records):
        owner = labels if not (compressed and number) else b"\xc0\x0c"
        packet += owner + struct.pack("!HHIH", kind, 0x8001, 120, len(data)) + data
    return packet


def test_both_kinds_of_addresses_are_read_ipv4_first() -> None:
    six = socket.inet_pton(socket.AF_INET6, "fe80::1")
    packet = answer("pi.local", (28, six), (1, bytes([10, 0, 0, 5])), compressed=True)
    assert decode_answer(packet, "pi.local") == ["10.0.0.5", "fe80::1"]
    assert decode_answer(packet, "PI.local.") == ["10.0.0.5", "fe80::1"]


def test_a_question_is_two_questions_and_nothing_else() -> None:
    assert struct.unpack("!6H", encode_question("pi.local", 7)[:12]) == (7, 0, 2, 0, 0, 0)


def test_answers_for_others_and_questions_are_ignored() -> None:
    packet = answer("other.local", (1, bytes([10, 0, 0, 5])))
    assert decode_answer(packet, "pi.local") == []
    assert decode_answer(encode_question("pi.local"), "pi.local") == []


def test_a_question_that_brings_records_along_is_no_answer() -> None:
    packet = answer("pi.local", (1, bytes([10, 0, 0, 5])))
    question = packet[:2] + struct.pack("!H", 0x0000) + packet[4:]
    assert decode_answer(packet, "pi.local") == ["10.0.0.5"]
    assert decode_answer(question, "pi.local") == []


def test_a_name_that_points_to_itself_does_not_hang() -> None:
    packet = struct.pack("!6H", 0, 0x8400, 0, 1, 0, 0) + b"\xc0\x0c" + b"\0" * 10
    assert decode_answer(packet, "pi.local") == []


@given(st.binary(max_size=200))
def test_no_packet_raises(packet: bytes) -> None:
    decode_answer(packet, "pi.local")
    decode_answer(struct.pack("!6H", 0, 0x8400, 1, 2, 0, 0) + packet, "pi.local")


def test_a_responder_on_the_network_is_asked_and_heard() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as responder:
        responder.bind(("127.0.0.1", 0))
        asked = []

        def respond() -> None:
            question, sender = responder.recvfrom(9000)
            asked.append(question)
            responder.sendto(answer("other.local", (1, bytes(4))), sender)
            responder.sendto(answer("pi.local", (1, bytes([10, 0, 0, 7]))), sender)

        thread = threading.Thread(target=respond)
        thread.start()
        assert find_local("pi.local", target=responder.getsockname()) == ["10.0.0.7"]
        thread.join()
    assert asked == [encode_question("pi.local")]


def test_nobody_there_is_an_empty_answer_in_time() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        assert find_local("pi.local", timeout=0.2, target=silent.getsockname()) == []


@pytest.mark.parametrize("name", ["pi.local", "a-very-long-name-of-a-device.local"])
def test_the_question_has_the_name_and_asks_for_both_kinds(name: str) -> None:
    packet = encode_question(name)
    assert packet.count(b"\x05local\0") == 2
    assert struct.unpack_from("!6H", packet)[2] == 2
