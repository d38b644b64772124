"""What a server wants of a login beside keys, and the questions that it asks: passwords and codes.

A person is asked only where the device's entry says so, and only when the server wants it: a key
that is enough leaves nothing to ask. What is typed is kept nowhere.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import asyncssh

from orchestrator.device.base import NoTerminalError
from orchestrator.device.loop import on_callers_thread
from orchestrator.errors import shorten

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from orchestrator.device.trust import HostCheck

KEY, PASSWORD, QUESTIONS = "publickey", "password", "keyboard-interactive"

#: How often a server may ask its questions anew: as many times as ssh lets a password be typed.
ROUNDS = 3


@dataclass
class Login:
    """One login: whom to ask, and what is known of it when it is refused."""

    address: str
    ask: Callable[[str], str] | None = None
    wanted: set[str] = field(default_factory=set)
    """The ways that the server still took when all of that way had been tried."""
    typed: bool = False
    unheard: bool = False
    """There was something to ask, and nobody to ask it."""
    expired: bool = False
    banner: str = ""
    """What the server said last before the login was done."""
    _limit: asyncio.Timeout | None = None
    _seconds: float = 0.0

    @asynccontextmanager
    async def within(self, seconds: float) -> AsyncIterator[None]:
        """End the block after ``seconds``; those in which a person types do not count."""
        self._seconds = seconds
        async with asyncio.timeout(seconds) as self._limit:
            yield

    async def answer(self, prompt: str) -> str | None:
        """Ask the person; ``None`` when nobody may be asked, or nobody is there."""
        ask = self.ask
        if ask is None:
            return None
        if self._limit is not None:
            self._limit.reschedule(None)
        try:
            answer = await on_callers_thread(lambda: ask(prompt))
        except NoTerminalError:
            self.unheard = True
            return None
        finally:
            if self._limit is not None:
                self._limit.reschedule(asyncio.get_running_loop().time() + self._seconds)
        self.typed = True
        return answer


class LoginClient(asyncssh.SSHClient):  # type: ignore[misc]  # untyped here
    """Notes the host key that is refused, the server's words, and what it wants of a login.

    Of an account that has ended, or a system that starts, a server tells so and hangs up.
    """

    def __init__(self, check: HostCheck, login: Login) -> None:
        self._check = check
        self._login = login
        self._rounds = 0

    def validate_host_public_key(
        self,
        host: str,  # noqa: ARG002
        addr: str,  # noqa: ARG002
        port: int,  # noqa: ARG002
        key: asyncssh.SSHKey,
    ) -> bool:
        """Refuse every key that the known hosts do not have."""
        self._check.offered = key
        return False

    def auth_banner_received(self, msg: str, lang: str) -> None:  # noqa: ARG002
        """Note the server's words."""
        self._login.banner = msg

    def public_key_auth_requested(self) -> None:
        """Note that the server takes keys, and that there is none left to try."""
        self._login.wanted.add(KEY)

    async def password_auth_requested(self) -> str | None:
        """Return the password, once."""
        if PASSWORD in self._login.wanted:
            return None
        self._login.wanted.add(PASSWORD)
        return await self._login.answer(f"Password for {self._login.address}: ")

    def password_change_requested(self, prompt: str, lang: str) -> object:  # noqa: ARG002
        """Note that the password has ended; a new one is set by hand."""
        self._login.expired = True
        return NotImplemented

    def kbdint_auth_requested(self) -> str | None:
        """Let the server ask, if its questions can be put to somebody."""
        self._login.wanted.add(QUESTIONS)
        self._rounds += 1
        return "" if self._login.ask is not None and self._rounds <= ROUNDS else None

    async def kbdint_challenge_received(
        self,
        name: str,
        instructions: str,
        lang: str,  # noqa: ARG002
        prompts: Sequence[tuple[str, bool]],
    ) -> list[str] | None:
        """Put each question to the person, as ssh does: with the server's name before it."""
        told = "".join(f"{line}\n" for line in _lines(f"{name}\n{instructions}"))
        answers = []
        for text, _ in prompts:
            lines = "\n".join(_lines(text)) or "?"
            answer = await self._login.answer(f"{told}({self._login.address}) {lines} ")
            if answer is None:
                return None
            answers.append(answer)
            told = ""
        return answers


def _lines(text: str) -> list[str]:
    """Return what a server says, so that it can be shown: a menu of second factors has lines."""
    lines = [shorten(line.strip()) for line in text.splitlines() if line.strip()]
    return lines[:20]
