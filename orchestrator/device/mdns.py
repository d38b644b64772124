"""Find ``NAME.local`` by multicast DNS (RFC 6762) where the system's resolver cannot.

Raspberry Pi OS announces every Pi as ``raspberrypi.local``. WSL2, containers and many Linux
hosts have no resolver for it; one question and one answer over UDP are enough.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
import time

GROUP = ("224.0.0.251", 5353)
_TYPE_A = 1
_TYPE_AAAA = 28
_CLASS_IN = 1
_UNICAST_REPLY = 0x8000


def encode_question(name: str, question_id: int = 0) -> bytes:
    """Return the packet that asks for the IPv4 and IPv6 addresses of ``name``."""
    labels = b"".join(
        bytes([len(label)]) + label for label in (part.encode("utf-8") for part in name.split("."))
    )
    packet = struct.pack("!6H", question_id, 0, 2, 0, 0, 0)
    for kind in (_TYPE_A, _TYPE_AAAA):
        packet += labels + b"\0" + struct.pack("!2H", kind, _CLASS_IN | _UNICAST_REPLY)
    return packet


def decode_answer(packet: bytes, name: str) -> list[str]:
    """Return the addresses that an answer gives for ``name``, IPv4 first; damaged = none."""
    wanted = name.rstrip(".").lower()
    found: list[str] = []
    try:
        _, flags, questions, *counts = struct.unpack_from("!6H", packet)
        if not flags & 0x8000:
            return []
        at = 12
        for _ in range(questions):
            _, at = _read_name(packet, at)
            at += 4
        for _ in range(sum(counts)):
            owner, at = _read_name(packet, at)
            kind, _, _, length = struct.unpack_from("!HHIH", packet, at)
            at += 10
            data = packet[at : at + length]
            at += length
            wants = {_TYPE_A: 4, _TYPE_AAAA: 16}.get(kind)
            if owner.lower() == wanted and wants == len(data) == length:
                found.append(str(ipaddress.ip_address(data)))
    except (struct.error, IndexError, ValueError):
        pass
    return sorted(dict.fromkeys(found), key=lambda text: ":" in text)


def _read_name(packet: bytes, at: int) -> tuple[str, int]:
    """Read a name that may be compressed; return it and the offset behind it."""
    labels: list[str] = []
    end: int | None = None
    for _ in range(128):  # a loop of pointers must not hang us
        length = packet[at]
        if length == 0:
            return ".".join(labels), end if end is not None else at + 1
        if length & 0xC0 == 0xC0:
            if end is None:
                end = at + 2
            at = ((length & 0x3F) << 8) | packet[at + 1]
            continue
        labels.append(packet[at + 1 : at + 1 + length].decode("utf-8", "replace"))
        at += 1 + length
    msg = "a name that never ends"
    raise ValueError(msg)


def find_local(name: str, *, timeout: float = 2.0, target: tuple[str, int] = GROUP) -> list[str]:
    """Ask the local network for ``name``; an empty list when nobody answers in time."""
    deadline = time.monotonic() + timeout
    parts = [part.encode("utf-8", "replace") for part in name.split(".")]
    if not all(0 < len(part) < 64 for part in parts) or len(name) > 250:  # no name of DNS at all
        return []
    question = encode_question(name)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
        asked = 0.0
        while (left := deadline - time.monotonic()) > 0:
            try:
                if time.monotonic() - asked > 0.5:
                    asked = time.monotonic()
                    sock.sendto(question, target)
                sock.settimeout(min(left, 0.5))
                packet, _ = sock.recvfrom(9000)
            except TimeoutError:
                continue
            except OSError:  # no network at all
                return []
            if addresses := decode_answer(packet, name):
                return addresses
    return []
