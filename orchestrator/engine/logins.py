"""Logins at registries, for the one thing that needs them: the base of an image that is built.

The SDK sends every login that the user's Docker settings know along with each build, and fails
when one cannot be had: on a machine where Docker Desktop was once, or in WSL with the settings
of Windows, the program that keeps them is missing. We ask for the registries of the bases alone,
and for none that the engine has already.
"""

from __future__ import annotations

import re
import threading
import warnings
from typing import TYPE_CHECKING, Any

from orchestrator.engine.failures import cause_text, config_file
from orchestrator.errors import escape_control

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

#: Seconds for which a program that keeps logins is waited for. It may ask its user something.
PATIENCE = 60.0


def bases(dockerfile: str, arguments: Mapping[str, str]) -> tuple[str, ...]:
    """Return the images that a Dockerfile builds on, its own stages left out."""
    values: dict[str, str] = {}
    stages: set[str] = {"scratch"}
    found: list[str] = []
    for line in dockerfile.splitlines():
        if argument := re.match(r"(?i)\s*ARG\s+(\w+)(?:=(\S+))?", line):
            name, default = argument.groups()
            values.setdefault(name, arguments.get(name) or default or "")
        named = re.match(r"(?i)\s*FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?", line)
        if named is None:
            continue
        image = re.sub(r"\$\{?(\w+)\}?", lambda one: values.get(one[1], ""), named[1])
        if image and image not in stages and image not in found:
            found.append(image)
        if named[2]:
            stages.add(named[2])
    return tuple(found)


class Logins:
    """The logins that one build takes along; :attr:`trouble` is why one could not be had."""

    def __init__(self, found: Any, images: Iterable[str], *, patience: float = PATIENCE) -> None:
        """``found`` is the SDK's ``AuthConfig``; ``images`` those that must be fetched."""
        self.trouble: str | None = None
        self.known: dict[str, object] = {}
        for image in images:
            self._look_up(found, image, patience)

    def _look_up(self, found: Any, image: str, patience: float) -> None:
        from docker import auth

        try:
            registry, _ = auth.resolve_repository_name(image)
            with warnings.catch_warnings():
                # The SDK warns of a program that is missing, and raises an error then.
                warnings.simplefilter("ignore")
                entry = _within(patience, lambda: found.resolve_authconfig(registry))
        except Exception as error:
            self.trouble = (
                f"the login at the registry of {escape_control(image)} could not be had, as "
                f"{config_file()} says it: {escape_control(cause_text(error)[:200])}"
            )
            return
        if entry:
            self.known[auth.INDEX_URL if registry == auth.INDEX_NAME else registry] = entry

    def for_sdk(self) -> Any:
        """Return what the SDK's client takes for its settings while it builds."""
        from docker import auth

        known = self.known

        class Chosen(auth.AuthConfig):  # type: ignore[misc]
            # An empty one would be read from the settings again.
            is_empty = False

            def get_all_credentials(self) -> dict[str, object]:
                return dict(known)

        return Chosen({})


def _within(seconds: float, act: Callable[[], Any]) -> Any:
    """Return what ``act`` returns; raises ``TimeoutError`` when it takes longer."""
    answer: list[Any] = []
    failure: list[BaseException] = []

    def work() -> None:
        try:
            answer.append(act())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=work, name="hefsmith-login", daemon=True)
    thread.start()
    thread.join(seconds)
    if failure:
        raise failure[0]
    if not answer:
        msg = f"the credential helper did not answer within {seconds:.0f} s"
        raise TimeoutError(msg)
    return answer[0]
