"""The command line that opens a shell in the box; a terminal needs the engine's own client."""

from __future__ import annotations

import shlex
import shutil
from typing import TYPE_CHECKING

from orchestrator.engine import products
from orchestrator.engine.box import shell_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.engine.box import ContainerSpec


def plan_shell(
    spec: ContainerSpec,
    address: str,
    product: str,
    *,
    terminal: bool,
    has: Callable[[str], object] = shutil.which,
) -> tuple[str, ...]:
    """Return the words that run ``spec`` on the engine at ``address``.

    They begin with the client of the ``product``, where this machine ``has`` it: Docker's client
    understands the others too.
    """
    words = shlex.split(shell_line(spec))
    if terminal:
        words.insert(words.index("-i") + 1, "-t")
    client = products.find(product).client
    if not has(client[0]):
        client = products.find("docker").client
    return (*client, address, *words[1:])
