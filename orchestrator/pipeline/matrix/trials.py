"""Trials of a search on the workers of a cluster: what they make comes from the store."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import asdict
from typing import TYPE_CHECKING, Self

from orchestrator.errors import HefsmithError
from orchestrator.pipeline.matrix.cells import Cell
from orchestrator.pipeline.matrix.cluster import (
    ClusterBuilder,
    connect,
    new_topic,
    place_of,
    slots_of,
)
from orchestrator.pipeline.tune.tuning import applied

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hefsmith_worker.contract.options import AnalyzeOptions

    from orchestrator.pipeline.session import BuildSession
    from orchestrator.pipeline.tune.tuning import Variant
    from orchestrator.project.loading import LoadedRecipe
    from orchestrator.project.recipe import Arch

Try = tuple["Variant", "AnalyzeOptions | None"]


class TrialWorkers:
    """Lets workers make variants of one model for one chip, side by side.

    A search that dies leaves what it has made in the store, and its journal: the same command
    goes on with both. Use it as a context manager.
    """

    def __init__(self, session: BuildSession, address: str) -> None:
        place = place_of(session, new_topic())
        self._session = session
        self._client = connect(address)
        try:
            #: How many trials run side by side.
            self.slots = slots_of(self._client)
            self._builder = ClusterBuilder(session, self._client, place)
        except BaseException:
            self._client.close()
            raise
        self._done: dict[str, HefsmithError | None] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._builder.close()
        self._client.close()

    def make(self, loaded: LoadedRecipe, arch: Arch, tries: Sequence[Try]) -> None:
        """Make what is not made yet; what goes wrong is told by :meth:`need`."""
        cells = {}
        for variant, options in tries:
            name = _name(variant, options)
            if name in self._done or name in cells:
                continue
            try:
                recipe = applied(loaded, variant)
            except HefsmithError as error:
                self._done[name] = error
                continue
            changes = dict(variant.changes)
            cells[name] = Cell(loaded.name, arch, name, recipe, None, changes, options)
        if not cells:
            return
        if len(cells) > 1:
            self._session.observer.note(f"{len(cells)} trials go to the cluster")
        pool = ThreadPoolExecutor(len(cells), thread_name_prefix="hefsmith-trial")
        waiting = {pool.submit(self._make_one, name, cell) for name, cell in cells.items()}
        try:
            while waiting:
                # With a time limit, since Windows cannot interrupt a wait without one.
                done, waiting = wait(waiting, timeout=0.5)
                for one in done:
                    one.result()
        except BaseException:
            self._builder.stop()
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _make_one(self, name: str, cell: Cell) -> None:
        try:
            self._builder.build(cell, lambda _: None)
        except HefsmithError as error:
            self._done[name] = error
        else:
            self._done[name] = None

    def need(
        self, loaded: LoadedRecipe, arch: Arch, variant: Variant, options: AnalyzeOptions | None
    ) -> None:
        """Have one variant in the store; raises what a build of it raised on its worker."""
        self.make(loaded, arch, [(variant, options)])
        if (error := self._done[_name(variant, options)]) is not None:
            raise error


def _name(variant: Variant, options: AnalyzeOptions | None) -> str:
    told = [dict(variant.changes), None if options is None else asdict(options)]
    text = json.dumps(told, sort_keys=True, default=str)
    return f"trial-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
