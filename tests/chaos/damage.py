"""Bytes that change on their own: in finished builds, in the cache, in a store."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path

from tests.chaos.builds import Place
from tests.chaos.count import Count, Ground


def spoil(file: Path, chance: random.Random) -> str:
    """Change a file in one of five ways, its time as it was; return which, or nothing."""
    content = file.read_bytes()
    if not content:
        return ""
    before = file.stat()
    at = chance.randrange(len(content))
    kind = chance.choice(["flip", "flip", "cut", "zeros", "more", "gone"])
    changed = {
        "flip": content[:at] + bytes([content[at] ^ 1 << chance.randrange(8)]) + content[at + 1 :],
        "cut": content[:at],
        "zeros": content[:at] + bytes(len(content) - at),
        "more": content + chance.randbytes(chance.randint(1, 40)),
        "gone": b"",
    }[kind]
    if kind == "gone":
        file.unlink()
        return kind
    if changed == content:
        return ""
    # A file that others link to is changed here alone, as a bad block would.
    file.unlink()
    file.write_bytes(changed)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    return f"{kind} at {at} of {len(content)}"


def flip_build(ground: Ground, count: Count) -> None:
    """Spoil a file of a finished build: ``hef verify`` tells, ``hef build`` mends it."""
    place = Place.make(ground.folder)
    assert place.hef().code == 0
    whole = {one: one.read_bytes() for one in place.build.iterdir() if one.is_file()}
    manifest = json.loads((place.build / "manifest.json").read_text())
    named = {one["name"] for one in manifest["subject"]}
    vouched = [one for one in sorted(whole) if one.name in named]
    while count.more:
        file = ground.chance.choice(vouched)
        what = spoil(file, ground.chance)
        if not what:
            count.missed()
            continue
        told = place.hef("verify", str(place.build))
        mended = place.hef()
        held = (
            told.code == 6 and told.plain and mended.code == 0 and file.read_bytes() == whole[file]
        )
        again = place.hef("verify", str(place.build))
        count.took(f"{file.name}, {what}: {told}; {mended}; {again}", held and again.code == 0)


def flip_record(ground: Ground, count: Count) -> None:
    """Spoil what a build says of itself: its record, manifest, log; the next build is right."""
    place = Place.make(ground.folder)
    assert place.hef().code == 0
    right = place.digests()
    records = [one for one in sorted(place.build.iterdir()) if one.name not in right]
    while count.more:
        file = ground.chance.choice([one for one in records if one.is_file()] or records)
        if not file.is_file() or not (what := spoil(file, ground.chance)):
            count.missed()
            place.hef()
            continue
        ends = [place.hef("verify", str(place.build)), place.hef("report", "one"), place.hef()]
        held = all(one.plain for one in ends) and ends[-1].code == 0 and place.digests() == right
        count.took(f"{file.name}, {what}: {[str(one) for one in ends]}", held)
        if not held:
            place.forget()
            place.hef()


def made(place: Place) -> dict[str, str]:
    """Return a build's content but for its calibration set, which only quantising reads.

    Where what was quantised is there, a set that is damaged may stay away.
    """
    return {name: one for name, one in place.digests().items() if name != "calibrate.bin"}


def flip_cache(ground: Ground, count: Count) -> None:
    """Spoil a file of the cache: what is built from it next is right, and damage is told."""
    place = Place.make(ground.folder)
    assert place.hef().code == 0

    right = made(place)
    while count.more:
        shutil.rmtree(place.root / "artifacts")
        files = sorted(one for one in (place.cache / "stages").rglob("*") if one.is_file())
        if ground.chance.random() < 0.15:
            files = sorted(one for one in place.cache.iterdir() if one.is_file()) or files
        file = ground.chance.choice(files)
        what = spoil(file, ground.chance)
        if not what:
            count.missed()
            place.hef()
            continue
        ended = place.hef()
        held = ended.code == 0 and ended.plain and made(place) == right
        count.took(f"{file.relative_to(place.cache)}, {what}: {ended}", held)
        if not held:
            place.forget()
            place.hef()


def flip_store(ground: Ground, count: Count) -> None:
    """Spoil an object of a store: none of it comes, and the build is right without it."""
    alice, bob = Place.make(ground.folder / "alice"), Place.make(ground.folder / "bob")
    share = ground.folder / "share"
    share.mkdir()
    assert alice.hef().code == 0
    words = ("cache", "push", "one", "--calibration", "--anew", "--arch", "hailo8l", "--to")
    assert alice.hef(*words, str(share)).code == 0
    right = made(alice)
    while count.more:
        file = ground.chance.choice(sorted(one for one in share.rglob("*") if one.is_file()))
        what = spoil(file, ground.chance)
        if not what:
            count.missed()
            continue
        ended = bob.hef(HEFSMITH_STORE=str(share))
        held = ended.code == 0 and ended.plain and made(bob) == right
        count.took(f"{file.relative_to(share)}, {what}: {ended}", held)
        bob.forget()
        alice.hef(*words, str(share))
