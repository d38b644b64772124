"""What of a project's stages goes to a store, and what comes from it: plans decide.

Calibration arrays are as large as all else together, and only quantising reads them: a large
set travels when the quantised network is not there, or when it is asked for.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from orchestrator.errors import ConfigError, escape_control
from orchestrator.pipeline.archs import pick_archs
from orchestrator.pipeline.digests import digest_of
from orchestrator.pipeline.plan import scope_of
from orchestrator.pipeline.sharing.objects import Folder, open_objects
from orchestrator.pipeline.sharing.places import private_folders
from orchestrator.pipeline.sharing.signing import signing_of, unsigned_note
from orchestrator.pipeline.sharing.store import Parcel, RefusedError, SharedStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from orchestrator.pipeline.cache import CacheEntry
    from orchestrator.pipeline.plan import Plan
    from orchestrator.pipeline.session import BuildSession

#: Bytes of a calibration set that may travel though nobody needs it.
LIGHT = 64 << 20
#: Bytes of a file that is searched for folders of this machine before it is sent.
_SEARCHED = 64 << 20

Action = Literal[
    "sent", "fetched", "there", "here", "left out", "not built", "not there", "refused"
]


@dataclass(frozen=True)
class StageRow:
    """What happened, or would happen, to one stage. ``bytes`` and ``files`` are what travels."""

    stage: str
    key: str
    uses: tuple[str, ...]
    action: Action
    files: int = 0
    bytes: int = 0


@dataclass
class Exchanged:
    """What a push or a pull did."""

    store: str
    dry_run: bool
    rows: list[StageRow] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def count(self, action: Action) -> int:
        """Return how many stages met with ``action``."""
        return sum(row.action == action for row in self.rows)

    @property
    def bytes(self) -> int:
        """Size of all that travels."""
        return sum(row.bytes for row in self.rows)

    def sort(self, stages: Sequence[_Stage]) -> None:
        """Put the rows into the order of the stages."""
        order = {stage.key: number for number, stage in enumerate(stages)}
        self.rows.sort(key=lambda row: order[row.key])

    def as_json(self) -> dict[str, object]:
        """Return the document that ``--json`` prints."""
        return {
            "store": self.store,
            "dry_run": self.dry_run,
            "bytes": self.bytes,
            "stages": [asdict(row) for row in self.rows],
            "warnings": self.warnings,
        }


@dataclass(frozen=True)
class Wish:
    """What the command line asks for. ``models`` is empty for all of the project."""

    models: Sequence[str] = ()
    archs: Sequence[str] = ()
    everything: bool = False
    calibration: bool = False
    anew: bool = False
    dry_run: bool = False


def open_store(session: BuildSession, address: str | None, *, writing: bool) -> SharedStore:
    """Return the store that the command line names, else the settings'."""
    base = Path.cwd()
    if address is None:
        address = session.settings.text("store")
        base = session.workspace.root
    if address is None:
        msg = "no store is named"
        option = "--to" if writing else "--from"
        hint = f"Give one with {option}, or as store: in hef.yaml (a folder, s3://bucket/prefix)."
        raise ConfigError(msg, hint=hint, code="store.none")
    objects = open_objects(address, base, writing=writing)
    if writing and isinstance(objects, Folder):
        objects.tidy()
    return SharedStore(objects, signing_of(session.settings, session.workspace.root))


# --- what the plans want -------------------------------------------------------------------------


@dataclass(frozen=True)
class _Stage:
    """A stage of one or more plans."""

    name: str
    key: str
    entry: CacheEntry | None
    uses: tuple[str, ...]
    #: of a calibration: the keys of what is quantised with it
    quantised: tuple[str, ...] = ()

    def is_idle(self, has: Callable[[str], bool]) -> bool:
        """Tell a calibration that nobody reads, since all that is quantised with it is there."""
        return bool(self.quantised) and all(has(key) for key in self.quantised)


def _planned(
    session: BuildSession,
    wish: Wish,
    outcome: Exchanged,
    also: Callable[[str], CacheEntry | None] = lambda _key: None,
) -> list[_Stage]:
    """Return the stages of all plans, each key once, in the order of the work.

    ``also`` has entries that would be in the cache: an entry may say that it means the same as
    another, and so decide the keys after it.
    """
    named = list(wish.models)
    names = named or session.workspace.model_names() or [session.workspace.unnamed_model()]
    found: dict[str, _Stage] = {}
    for name in dict.fromkeys(names):
        try:
            loaded = session.recipe(name)
            plans = [
                (f"{loaded.name}/{chip}", session.plan(session.request(loaded, chip), also=also)[0])
                for chip in pick_archs(loaded, wish.archs)
            ]
        except ConfigError as error:
            if named or len(names) == 1:
                raise
            # One recipe that is being written must not keep the others from travelling.
            outcome.warnings.append(f"{escape_control(name)} is left out: {error.message}")
            continue
        for use, plan in plans:
            _add(found, use, plan)
    return list(found.values())


def _add(found: dict[str, _Stage], use: str, plan: Plan) -> None:
    quantised = tuple(stage.key for stage in plan.stages if stage.name == "optimize")
    for stage in plan.stages:
        known = found.get(stage.key) or _Stage(stage.name, stage.key, stage.entry, ())
        if stage.name == "calibrate":
            known = replace(known, quantised=(*known.quantised, *quantised))
        found[stage.key] = replace(known, uses=(*known.uses, use))


# --- push ----------------------------------------------------------------------------------------


def push(session: BuildSession, store: SharedStore, wish: Wish) -> Exchanged:
    """Send what the plans use and the cache has; what the store has is not sent again."""
    outcome = Exchanged(store.address, wish.dry_run)
    if wish.everything:
        stages = [_Stage(entry.stage, entry.key, entry, ()) for entry in session.cache.entries()]
        wish = replace(wish, calibration=True)
    else:
        stages = _planned(session, wish, outcome)
    hidden = folders_here(session)
    parcels: list[tuple[_Stage, Parcel]] = []
    coming: set[str] = set()
    for stage in stages:
        parcel = _parcel(session, store, wish, stage, outcome)
        if parcel is None:
            continue
        lacking = tuple(file for file in parcel.lacking if file.sha256 not in coming)
        coming |= {file.sha256 for file in lacking}
        parcels.append((stage, replace(parcel, lacking=lacking)))
        outcome.warnings += _leaks(session, parcels[-1][1], hidden)
    total = 0 if wish.dry_run else sum(parcel.bytes for _, parcel in parcels)
    news = _News(session, "push", total)
    for stage, parcel in parcels:
        try:
            if not wish.dry_run:
                store.send(parcel, session.cache, news.told, hidden)
        except RefusedError as error:
            outcome.warnings.append(f"{stage.name} is not sent: {error.message}")
            outcome.rows.append(StageRow(stage.name, stage.key, stage.uses, "refused"))
            continue
        size, count = parcel.bytes, len(parcel.lacking)
        outcome.rows.append(StageRow(stage.name, stage.key, stage.uses, "sent", count, size))
    news.end()
    session.memory.save()
    outcome.sort(stages)
    return outcome


def _parcel(
    session: BuildSession, store: SharedStore, wish: Wish, stage: _Stage, outcome: Exchanged
) -> Parcel | None:
    """Return what is to be sent of a stage; a row tells why nothing is."""

    def nothing(action: Action) -> None:
        outcome.rows.append(StageRow(stage.name, stage.key, stage.uses, action))

    entry = stage.entry
    idle = stage.is_idle(lambda key: session.cache.find(key) is not None)
    if entry is None:
        if not idle:
            nothing("not built")
        return None
    if not _is_whole(session, entry):
        outcome.warnings.append(f"{stage.name} ({stage.key[:12]}) is damaged in this cache")
        nothing("refused")
        return None
    if idle and _is_large(entry) and not wish.calibration:
        nothing("left out")
        return None
    parcel = store.compare(entry, anew=wish.anew)
    if parcel.needless:
        nothing("there")
        return None
    return parcel


def _is_large(entry: CacheEntry) -> bool:
    return sum(file.bytes for file in entry.files) > LIGHT


def _is_whole(session: BuildSession, entry: CacheEntry) -> bool:
    """Tell whether an entry is as it was published; nobody shall get a damaged one of us."""
    if digest_of(entry.why) != entry.key:
        return False
    try:
        return all(
            session.memory.file(session.cache.file(entry, file)) == file.sha256
            for file in entry.files
        )
    except OSError:
        return False


def folders_here(session: BuildSession) -> dict[str, str]:
    """Return the folders of this machine that nobody else need know, and words for them."""
    return private_folders(session.cache.root, session.workspace.root)


def _leaks(session: BuildSession, parcel: Parcel, hidden: Mapping[str, str]) -> list[str]:
    """Return warnings about folders of this machine inside of what cannot be changed."""
    found: list[str] = []
    entry = parcel.entry
    key = json.dumps(entry.why, ensure_ascii=False)
    telling = [path for path, word in hidden.items() if word != "<tmp>"]
    if any(path in key for path in telling):
        found.append(
            f"{entry.stage}: its key names a folder of this machine, so that it is of use only "
            "where that is the same (pictures that lie outside of the project)"
        )
    for file in parcel.lacking:
        if file.bytes <= _SEARCHED:
            content = session.cache.file(entry, file).read_bytes()
            if any(os.fsencode(path + os.sep) in content for path in telling):
                found.append(f"{entry.stage}: {file.path} names a folder of this machine")
    return found


# --- pull ----------------------------------------------------------------------------------------


def pull(session: BuildSession, store: SharedStore, wish: Wish) -> Exchanged:
    """Bring what the plans want, is not here, and is in the store."""
    outcome = Exchanged(store.address, wish.dry_run)
    looked: dict[str, CacheEntry | RefusedError | None] = {}

    def there(key: str) -> CacheEntry | None:
        if session.cache.find(key) is not None:
            return None
        if key not in looked:
            try:
                looked[key] = store.look(key)
            except RefusedError as error:
                looked[key] = error
        found = looked[key]
        return None if isinstance(found, RefusedError) else found

    stages = [
        replace(stage, entry=session.cache.find(stage.key))
        for stage in _planned(session, wish, outcome, there)
    ]
    here = {
        file.sha256: session.cache.file(stage.entry, file)
        for stage in stages
        if stage.entry is not None and _is_whole(session, stage.entry)
        for file in stage.entry.files
    }
    coming: list[tuple[_Stage, CacheEntry]] = []
    has = {stage.key for stage in stages if stage.entry is not None}
    # Calibration comes last: whether it is needed depends on the quantised network.
    for stage in sorted(stages, key=lambda one: one.name == "calibrate"):
        action = _look(looked, stage, wish, has, coming, outcome)
        if action is not None:
            outcome.rows.append(StageRow(stage.name, stage.key, stage.uses, action))
    if coming and not wish.dry_run:
        text = unsigned_note(store.signing, store.address, session.cache)
        if text is not None:
            session.observer.note(text)
    _bring(session, store, coming, here, outcome)
    outcome.sort(stages)
    return outcome


def _look(
    looked: Mapping[str, CacheEntry | RefusedError | None],
    stage: _Stage,
    wish: Wish,
    has: set[str],
    coming: list[tuple[_Stage, CacheEntry]],
    outcome: Exchanged,
) -> Action | None:
    """Put a stage's entry on the list of those that come; else return why not."""
    if stage.entry is not None:
        return "here"
    idle = stage.is_idle(has.__contains__)
    entry = looked.get(stage.key)
    if isinstance(entry, RefusedError):
        outcome.warnings.append(entry.message)
        return "refused"
    if entry is None:
        return None if idle else "not there"
    if idle and _is_large(entry) and not wish.calibration:
        return "left out"
    has.add(stage.key)
    coming.append((stage, entry))
    return None


def _bring(
    session: BuildSession,
    store: SharedStore,
    coming: Sequence[tuple[_Stage, CacheEntry]],
    here: dict[str, Path],
    outcome: Exchanged,
) -> None:
    known = set(here)
    sizes: list[tuple[int, int]] = []
    for _, entry in coming:
        new = {file.sha256: file.bytes for file in entry.files if file.sha256 not in known}
        known |= set(new)
        sizes.append((len(new), sum(new.values())))
    news = _News(session, "pull", 0 if outcome.dry_run else sum(size for _, size in sizes))
    for (stage, entry), (count, size) in zip(coming, sizes, strict=True):
        try:
            if not outcome.dry_run:
                size = store.take(entry, session.cache, session.memory, here, news.told)  # noqa: PLW2901
        except RefusedError as error:
            outcome.warnings.append(error.message)
            outcome.rows.append(StageRow(stage.name, stage.key, stage.uses, "refused"))
            continue
        for use in () if outcome.dry_run else stage.uses:
            model, _, arch = use.rpartition("/")
            session.cache.note_meaning(scope_of(model, arch, stage.name), entry)
        outcome.rows.append(StageRow(stage.name, stage.key, stage.uses, "fetched", count, size))
    news.end()
    session.memory.save()


class _News:
    """Tells an observer how far a transfer has come."""

    def __init__(self, session: BuildSession, name: str, total: int) -> None:
        self._observer = session.observer
        self._name = name
        self._total = total
        self._done = 0
        self._began = time.monotonic()
        if total:
            self._observer.stage_started(name)

    def told(self, count: int) -> None:
        """Take the number of further bytes."""
        self._done += count
        self._observer.progress(self._name, min(self._done, self._total), self._total, "bytes")

    def end(self) -> None:
        """Tell that all is done."""
        if self._total:
            self._observer.stage_finished(self._name, time.monotonic() - self._began)
