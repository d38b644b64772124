"""What a worker, a Pi, and the secrets of the user say that they should not."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.chaos.builds import Place
from tests.chaos.count import Count, Ground
from tests.chaos.strangers import changed

#: Values of other types and sizes than anybody waits for.
ODD: tuple[Any, ...] = (
    None, True, -1, 1 << 80, 1e308, "", "x" * 5000, "../../../etc/passwd", "/etc/passwd", "\x1b[2J",
    "a\nb", [], [[]], {}, {"a": {"b": [1]}}, "\u202e", "-rf", "C:\\x", "con", "\x00",
)  # fmt: skip


def twisted(document: Any, chance: random.Random) -> Any:
    """Return a JSON value in which one place has another value, is missing, or is double."""
    if isinstance(document, dict) and document and chance.random() < 0.9:
        found = dict(document)
        name = chance.choice(sorted(found))
        way = chance.randrange(6)
        if way == 0:
            del found[name]
        elif way == 1:
            found[name] = chance.choice(ODD)
        elif way == 2:
            found[str(chance.choice(ODD))[:40]] = found[name]
        else:
            found[name] = twisted(found[name], chance)
        return found
    if isinstance(document, list) and document and chance.random() < 0.7:
        at = chance.randrange(len(document))
        return [*document[:at], twisted(document[at], chance), *document[at + 1 :]]
    return chance.choice(ODD)


def worker_events(ground: Ground, count: Count) -> None:
    """One line of a job's events is another one; the build ends in words and keeps no lie."""
    from tests.unit.matrix import trivial

    place = Place.make(ground.folder)
    assert place.hef().code == 0
    right = place.digests()
    honest = trivial.TrivialRunning.lines
    while count.more:
        place.forget()
        at, seed = ground.chance.randint(0, 26), ground.chance.random()

        def begin(at: int = at, seed: float = seed) -> None:
            def lines(self: Any) -> Iterator[str]:
                chance = random.Random(seed)
                for number, line in enumerate(honest(self)):
                    if number != at:
                        yield line
                    elif chance.random() < 0.3:
                        yield changed(line.encode(), chance).decode("utf-8", "replace")
                    else:
                        yield json.dumps(twisted(json.loads(line), chance))

            trivial.TrivialRunning.lines = lines  # type: ignore[method-assign]

        ended = place.hef(before=begin)
        after = place.hef()
        held = ended.plain and ended.code in (0, 1, 2, 3, 6) and after.code == 0 and after.plain
        raw = any(char in ended.err for char in "\x1b\u202e\x00")
        held = held and not raw and place.digests() == right
        count.took(f"line {at}: {ended}; {after}", held)
        if not held:
            place.forget()


def pi_replies(ground: Ground, count: Count) -> None:
    """A Pi answers something else than was asked, anywhere in its answer."""
    import os

    from orchestrator.device import agent_client
    from orchestrator.device.connection_pool import ConnectionPool
    from orchestrator.device.ship import look, rollback
    from orchestrator.errors import HefsmithError
    from tests.unit.device.hostile import DIGEST, HELLO, Liar, hostile_pi

    os.environ["HEFSMITH_DATA"] = str(ground.folder)
    agent_client.BEAT_SECONDS, agent_client.START_SECONDS = 0.1, 1.0
    agent_client.DRAIN_SECONDS, agent_client.PATIENCE = 1.0, 1 / 60
    shelf = {
        "current": DIGEST, "history": [DIGEST], "free": 10, "disk_free": 1 << 30, "there": True,
        "releases": [{"id": DIGEST, "record": {"schema": 1, "model": "net", "files": []}}],
    }  # fmt: skip
    with ConnectionPool() as pool:
        while count.more:
            seed = ground.chance.random()
            hello = ground.chance.random() < 0.4

            async def lie(liar: Liar, seed: float = seed, hello: bool = hello) -> None:
                chance = random.Random(seed)
                if hello:
                    await liar.process.stdin.read(1)
                    liar.process.stdout.write(agent_client.MAGIC)
                    liar.answer(twisted(HELLO, chance))
                while True:
                    await liar.request()
                    if chance.random() < 0.3:
                        liar.send(
                            chance.choice([b"J", b"D", b"E", b"B", b"\0"]),
                            chance.randbytes(chance.randint(0, 300)),
                        )
                    else:
                        liar.answer(twisted(chance.choice([shelf, {"ok": shelf}]), chance))
                    await asyncio.sleep(0)

            act = ground.chance.choice([look, rollback])
            what = f"{act.__name__}, {seed}"
            try:
                with hostile_pi(pool, lie, start=not hello) as spec, pool.connect(spec) as session:
                    act(session, "net")
            except HefsmithError as error:
                count.took(f"{what}: {error.message!r}", error.message.isprintable())
            except Exception as error:  # whatever else comes is a loss
                count.took(f"{what}: {error!r}", False)
            else:
                count.missed()


#: Secrets that must be nowhere but where their owner wrote them.
CANARIES = ("pw-7f3a9", "tok-55e1c", "sig-90b2d")


def secrets(ground: Ground, count: Count) -> None:
    """Passwords in addresses and in the environment: in no output, log, record, report."""
    place = Place.make(ground.folder)
    (place.root / "hef.yaml").write_text(
        f"schema: 1\nstore: sftp://me:{CANARIES[0]}@127.0.0.1:9/srv\n"
        f"engines: {{far: {{address: 'tcp://me:{CANARIES[0]}@127.0.0.1:9'}}}}\n"
    )
    (place.root / "models" / "one" / ".env").write_text(f"TOKEN={CANARIES[1]}\n")
    environ = {
        "AWS_SECRET_ACCESS_KEY": CANARIES[1],
        "HF_TOKEN": CANARIES[1],
        "HTTPS_PROXY": f"http://me:{CANARIES[0]}@127.0.0.1:9",
        "DOCKER_HOST": f"tcp://me:{CANARIES[0]}@127.0.0.1:9",
    }
    signed = f"https://127.0.0.1:9/x.zip?X-Amz-Signature={CANARIES[2]}"
    lines = [
        ["build", "one"], ["build", "one", "--json"], ["build", "one", "--fresh"],
        ["config", "show"], ["config", "show", "--json"], ["doctor"], ["doctor", "--json"],
        ["cache", "push"], ["cache", "pull", "--json"], ["cache", "info"], ["ps"],
        ["report", "one"],
        ["calib", "fetch", signed], ["toolchain", "import", signed],
        ["toolchain", "list", "--json"], ["build", "one", "--engine", "far"],
        ["build", "one", "--engine", f"ssh://me:{CANARIES[0]}@h"],
        ["lock"], ["bundle", "one"], ["device", "add", "pi", f"me:{CANARIES[0]}@127.0.0.1"],
        ["cache", "push", "--to", f"https://{CANARIES[1]}@127.0.0.1:9/x"], ["trust"],
        ["history", "one"], ["verify", "artifacts/one/hailo8l"], ["init", "two", "--onnx", signed],
        ["--debug", "cache", "pull"], ["explain", "artifacts/one/hailo8l"], ["cache", "why", "one"],
    ]  # fmt: skip
    own = {place.root / "hef.yaml", place.root / "models" / "one" / ".env"}
    seen: set[Path] = set()
    for argv in lines:
        if not count.more:
            return
        ended = place.hef(*argv, **environ)
        told = [one for one in CANARIES if one in ended.out + ended.err]
        told = [one for one in told if not any(one in word for word in argv)] or [
            one for one in told if one == CANARIES[2] or "://" in " ".join(argv)
        ]
        written = []
        for file in place.root.rglob("*"):
            if file.is_file() and file not in own | seen:
                content = file.read_bytes()
                if any(one.encode() in content for one in CANARIES):
                    seen.add(file)
                    if file.stat().st_mode & 0o077:
                        written.append(str(file.relative_to(place.root)))
        count.took(f"{argv}: told {told}, written {written}", not told and not written)


def pages(ground: Ground, count: Count) -> None:
    """What gets into a page does nothing in a browser: scripts, frames, addresses, styles."""
    import shutil

    if shutil.which("chromium") is None:
        count.skipped = "no browser"
        return
    from tests.security.conftest import Tally
    from tests.security.test_report_page import (
        STYLE,
        test_nothing_that_gets_into_a_page_does_anything,
    )

    tally = Tally("pages")
    test_nothing_that_gets_into_a_page_does_anything(STYLE, ground.folder, tally)
    for number in range(tally.tried):
        lost = tally.lost[number] if number < len(tally.lost) else ""
        count.took(lost, not lost)
