"""The main job: recipe -> plan -> build, with the rooms it takes glued together.

Nothing heavy is imported before a stage must run: a build that is up to date is found out
without Docker, SSH or numpy.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from orchestrator import paths
from orchestrator.errors import EngineError, StageFailed
from orchestrator.pipeline import plan, runner, targets
from orchestrator.pipeline.cache import StageCache
from orchestrator.pipeline.claims import claim
from orchestrator.pipeline.context import Record, RunContext, written_keys
from orchestrator.pipeline.digests import DigestMemory
from orchestrator.pipeline.finalize import accept
from orchestrator.pipeline.finished import builds
from orchestrator.pipeline.inputs import BuildRequest, collect, stated_preprocessing
from orchestrator.pipeline.jobs import Segment, job_for_display
from orchestrator.pipeline.linting import refuse_script
from orchestrator.pipeline.pictures import make_data
from orchestrator.pipeline.prestart import Prestart, PrestartedJob, start_job
from orchestrator.pipeline.sizes import read_size
from orchestrator.pipeline.targets import SandboxOverrides
from orchestrator.pipeline.trusting import ProjectTrust, check_box
from orchestrator.pipeline.tune.training import foresee
from orchestrator.pipeline.vendor import downgrades, explain, new_reader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from hefsmith_worker.contract.findings import Finding
    from hefsmith_worker.contract.options import AnalyzeOptions

    from orchestrator.engine.base import BuildRecord
    from orchestrator.engine.protocols import Engine
    from orchestrator.pipeline.cache import CacheEntry
    from orchestrator.pipeline.finished.builds import Build
    from orchestrator.pipeline.observer import Observer
    from orchestrator.pipeline.plan import Plan
    from orchestrator.pipeline.sharing.readthrough import TeamStore
    from orchestrator.pipeline.targets import Toolchain
    from orchestrator.project.loading import LoadedRecipe
    from orchestrator.project.recipe import Arch
    from orchestrator.project.settings import Settings
    from orchestrator.project.workspace import Workspace

#: A cache entry that is found damaged is dropped and planned anew; more rounds mean trouble.
ATTEMPTS = 3


class BuildSession:
    """One command's way through builds; keeps the engine that the first build has opened."""

    def __init__(
        self,
        workspace: Workspace,
        settings: Settings,
        observer: Observer,
        *,
        overrides: SandboxOverrides | None = None,
        fresh: bool = False,
    ) -> None:
        self.workspace = workspace
        self.settings = settings
        self.observer = observer
        self.overrides = overrides or SandboxOverrides()
        self.fresh = fresh
        #: Keys of stages that this command has made: ``fresh`` runs each of them once.
        self.renewed: set[str] = set()
        self.trust = ProjectTrust(workspace, settings, observer.note)
        self.cache = StageCache(settings.cache_folder)
        self.memory = DigestMemory(settings.cache_folder / "digests.json", reads=fresh)
        #: HailoRT version of the device, once it was asked: it limits what may compile.
        self.hailort: str | None = None
        self._code: dict[str, str] | None = None
        self._engine: Engine | None = None
        self._opening_engine = threading.RLock()
        self._full: dict[tuple[str, str], LoadedRecipe] = {}
        self._team: TeamStore | None = None
        self._owns_team = False
        self._toolchains: dict[tuple[str, str | None, bool], Sequence[Toolchain]] = {}
        #: Called with each engine that the session opens.
        self.on_engine: Callable[[Engine], None] | None = None

    # --- planning ---------------------------------------------------------------------------

    @property
    def artifacts(self) -> Path:
        """Folder of the finished builds."""
        return self.settings.artifacts_of(self.workspace)

    def final_folder(self, model: str, arch: str) -> Path:
        """Folder of one finished build."""
        return self.artifacts / model / arch

    def recipe(self, model: str) -> LoadedRecipe:
        """Load a recipe and see to it that its pictures are there."""
        loaded = self.workspace.recipe(model)
        make_data(loaded, self.workspace, self.observer, self.cache)
        return loaded

    def request(self, loaded: LoadedRecipe, arch: Arch) -> BuildRequest:
        """Return what a build of the recipe for a chip is made of."""
        request = collect(self.full(loaded, arch), self.workspace.root, arch)
        # First whether the script may be read at all: what is wrong in it is told by its words.
        judged = self.trust.judged(loaded, request)
        refuse_script(loaded.name, judged.parameters["optimize"]["script"])
        return judged

    def full(self, loaded: LoadedRecipe, arch: Arch) -> LoadedRecipe:
        """Return the recipe with what it takes from a Model Zoo (``source: zoo``) filled in."""
        if loaded.zoo is None:
            return loaded
        from orchestrator.pipeline.zoo import fill_in

        key = (arch, repr(loaded.document.value))
        if key not in self._full:
            self._full[key] = fill_in(
                loaded, arch, self.settings, self.workspace, self.observer, self.hailort
            )
        return self._full[key]

    def plan(
        self,
        request: BuildRequest,
        final: Path | None = None,
        also: Callable[[str], CacheEntry | None] = lambda _key: None,
    ) -> tuple[Plan, Mapping[str, str], Toolchain]:
        """Return the plan, the digests of its materials, and the toolchain it is for.

        ``final`` is where the build will stand; ``also`` has entries that go before those of the
        cache. The toolchain's identity depends on where it runs; a place for which everything is
        cached wins, so that no engine need be asked.
        """
        materials = plan.material_digests(request, self.memory)
        recall = self._recall(final or self.final_folder(request.model, request.arch))
        made: list[tuple[Plan, Toolchain]] = []
        for toolchain in self._candidates(request):
            planned = self._planned(request, toolchain, materials, also, recall)
            made.append((planned, toolchain))
            if not made[-1][0].to_run:
                break
        else:
            if len(made) > 1:
                kind = self.engine(request).info().kind
                made = [item for item in made if item[1].engine_kind in (None, kind)] or made
            made = made[:1]
        self.memory.save()
        chosen, toolchain = made[-1]
        return chosen, materials, toolchain

    def _planned(
        self,
        request: BuildRequest,
        toolchain: Toolchain,
        materials: Mapping[str, str],
        also: Callable[[str], CacheEntry | None] = lambda _key: None,
        recall: Callable[[str, str], str | None] = lambda _stage, _key: None,
    ) -> Plan:
        """Return the plan; entries that ``also`` has go before those of the cache."""
        find: Callable[[str], CacheEntry | None] = self.cache.find
        if self.fresh:
            find = lambda key: self.cache.find(key) if key in self.renewed else None  # noqa: E731
        return plan.make_plan(
            request,
            toolchain=toolchain.name,
            emulated=toolchain.emulated,
            identities=toolchain.identities,
            materials=materials,
            code=self._worker_code(),
            find=lambda key: also(key) or find(key),
            recall=recall,
        )

    def _recall(self, final: Path) -> Callable[[str, str], str | None]:
        """Return what tells from the build that is there by which keys its results went.

        It is asked for what the cache does not have: a build outlives its cache.
        """
        known: list[Callable[[str, str], str | None]] = []

        def recall(stage: str, key: str) -> str | None:
            if not known:
                build = builds.read_build(final)
                known.append(plan.recalled(build.summary.get("why") or {} if build else {}))
            return known[0](stage, key)

        return recall

    def _worker_code(self) -> Mapping[str, str]:
        if self._code is None:
            self._code = plan.code_digests(paths.worker_package(), self.memory)
        return self._code

    def _candidates(self, request: BuildRequest) -> Sequence[Toolchain]:
        # They do not change while a command runs, and a matrix asks for each of its cells.
        key = (request.arch, self.hailort, request.tensorflow)
        if key not in self._toolchains:
            self._toolchains[key] = targets.candidates(
                request.arch,
                self.settings,
                self.workspace,
                self.memory,
                self.hailort,
                tensorflow=request.tensorflow,
            )
        return self._toolchains[key]

    # --- doing ------------------------------------------------------------------------------

    def engine(self, request: BuildRequest | None = None, *, need_docker: bool = False) -> Engine:
        """Return the engine, opened once; says on screen which one it is."""
        with self._opening_engine:
            if self._engine is None:
                self._engine = targets.open_engine(
                    self.settings, self.workspace, self.observer, need_docker=need_docker
                )
                if self.on_engine is not None:
                    self.on_engine(self._engine)
        if request is not None:
            check_box(request, self._engine.info())
        if request is not None and request.trust_pickle and not self._engine.info().boxed:
            msg = (
                f"{request.model}: the recipe says trust_pickle, and the local engine has no box "
                "to load such a file in"
            )
            raise EngineError(
                msg,
                hint="Use a Docker engine (--engine docker), or save only the weights: "
                "torch.save(model.state_dict(), ...)",
                code="engine.no-box",
            )
        return self._engine

    def first_job(self, request: BuildRequest) -> tuple[Plan, Segment]:
        """Return where the first stages of a build would run, for a look at its network."""
        toolchain = self._candidates(request)[0]
        made = self._everything(request, toolchain)
        return made, self._segments(made, toolchain)[0]

    def _everything(self, request: BuildRequest, toolchain: Toolchain) -> Plan:
        return plan.plan_everything(
            request,
            toolchain=toolchain.name,
            emulated=toolchain.emulated,
            identities=toolchain.identities,
            code=self._worker_code(),
        )

    def build(
        self,
        loaded: LoadedRecipe,
        arch: Arch,
        folder: Path | None = None,
        analysis: AnalyzeOptions | None = None,
    ) -> tuple[Build, Plan]:
        """Return the up-to-date build of a recipe for a chip, made now if need be.

        It is kept in ``folder``, else in the model's own among the artifacts. With ``analysis``
        the network is quantised and looked at, and no HEF is made; ``folder`` must be given.
        """
        request = self.request(loaded, arch)
        if analysis is not None:
            request = request.analysis(analysis)
        final = folder or self.final_folder(request.model, arch)
        for attempt in range(ATTEMPTS):
            try:
                made = self._attempt(loaded, request, final, first=attempt == 0)
            except runner.CacheDamaged as damage:
                self.observer.note(f"warning: {damage.message}; building it again")
                if attempt == ATTEMPTS - 1:
                    raise
            else:
                if made is not None:
                    return made
        msg = f"{request.model}: its inputs keep changing during the build"
        raise StageFailed(msg, hint="Build when nothing writes to them.", code="inputs.changing")

    def _attempt(
        self, loaded: LoadedRecipe, request: BuildRequest, final: Path, *, first: bool
    ) -> tuple[Build, Plan] | None:
        """Plan a build and make it; ``None`` where its inputs have changed meanwhile."""
        prestart = self._open_early(request, final) if first else None
        try:
            made, materials, toolchain = self.plan_with_store(request, final)
            context = self._run_context()
            record = self._record(self.full(loaded, request.arch), request)
            if (there := self._standing(made, final, context, record)) is not None:
                return there
            foreseen = self._foreseen(made, toolchain)
            if foreseen is not None and first:
                self._tell(foreseen)
            if prestart is None and made.to_run:
                prestart = self._open(final, [(made, toolchain)])
            with claim(
                self.cache,
                made,
                tell=self.observer.note,
                waiting=prestart.drop if prestart else None,
                alone=self.fresh,
            ):
                if not self.fresh and self._came(made):
                    # Somebody else built the same meanwhile, or a part of it.
                    made, materials, toolchain = self.plan(request, final)
                    if (there := self._standing(made, final, context, record)) is not None:
                        return there
                # The manifest says what the inputs are, not what was remembered of them.
                if plan.material_digests(request, self.memory.reading()) != materials:
                    return None
                return runner.carry_out(
                    made,
                    context,
                    partial(self._segments, toolchain=toolchain),
                    final=final,
                    materials=materials,
                    record=record,
                    prestart=prestart,
                    again=partial(self._planned, request, toolchain, materials),
                )
        finally:
            if prestart is not None:
                prestart.discard()
            self.memory.save()

    def _standing(
        self, made: Plan, final: Path, context: RunContext, record: Record
    ) -> tuple[Build, Plan] | None:
        """Return the build that stands already and is what the plan would give."""
        current = None if self.fresh else runner.up_to_date(made, final, context)
        if current is None:
            return None
        for stage in made.stages:
            self.observer.stage_cached(stage.name)
        return accept(current, made, record, context), made

    def plan_with_store(
        self, request: BuildRequest, final: Path
    ) -> tuple[Plan, Mapping[str, str], Toolchain]:
        """Return the plan when all that the team's store has for it is in the cache."""
        found = self.plan(request, final)
        if self.fresh or not self.settings.text("store"):
            return found
        # What came may decide which results the later stages stand on.
        for _ in found[0].stages:
            there = builds.read_build(final) if found[0].to_run else None
            done = there is not None and there.key == found[0].key
            if done or self.team is None or not self.team.bring(found[0]):
                break
            found = self.plan(request, final)
        return found

    @property
    def team(self) -> TeamStore | None:
        """The store that the settings name, ``None`` without one; it is not opened here."""
        if self._team is None and self.settings.text("store"):
            from orchestrator.pipeline.sharing.readthrough import team_store

            self._team = team_store(
                self.settings,
                self.workspace.root,
                self.cache,
                self.memory,
                lambda text: self.observer.note(text),  # noqa: PLW0108 -- whoever listens then
            )
            self._owns_team = True
        return self._team

    def _came(self, made: Plan) -> bool:
        """Tell whether the cache has got a stage since the plan was made."""
        return any(self.cache.find(stage.key) is not None for stage in made.stages if stage.runs)

    def _open_early(self, request: BuildRequest, final: Path) -> Prestart | None:
        """Start the first job before any input is read, if it is certain that all must run."""
        if self.renewed or (self.settings.text("store") and not self.fresh):
            return None  # it may have what the cache has not
        plans = [(self._everything(request, one), one) for one in self._candidates(request)]
        if not self.fresh:
            marks = {plan.first_mark(made.stages[0].why) for made, _ in plans}
            if any(self.cache.noted(mark) for mark in marks):
                return None
            if (build := builds.read_build(final)) is not None:
                # It may be up to date although the cache was emptied.
                first = build.summary.get("why", {}).get(plans[0][0].stages[0].name)
                if first is None or plan.first_mark(first) in marks:
                    return None
        return self._open(final, plans)

    def _open(self, final: Path, plans: Sequence[tuple[Plan, Toolchain]]) -> Prestart:
        """Start the first job of the plan that fits the engine."""

        def act(staging: Path) -> PrestartedJob | None:
            made, toolchain = plans[0]
            engine = self.engine(made.request, need_docker=toolchain.imported is not None)
            kind = engine.info().kind
            for made, toolchain in plans:
                if toolchain.engine_kind in (None, kind):
                    segment = self._resolver(engine).first_segment(made, toolchain)
                    return start_job(made, segment, staging)
            return None

        return Prestart(final, act)

    def detach(self, loaded: LoadedRecipe, arch: Arch) -> str | None:
        """Start a build in the background; return its id, ``None`` when nothing must run."""
        from orchestrator.pipeline import background

        request = self.request(loaded, arch)
        made, materials, toolchain = self.plan(request)
        if not made.to_run:
            self.build(loaded, arch)
            return None
        record = background.start(
            made,
            self._run_context(),
            partial(self._segments, toolchain=toolchain),
            final=self.final_folder(request.model, arch),
            materials=materials,
            record=self._record(self.full(loaded, arch), request),
            again=partial(self._planned, request, toolchain, materials),
        )
        return None if record is None else record.id

    def attach(self, record: BuildRecord, engine: Engine) -> Build:
        """Follow a background build to its end; its recipe may have changed meanwhile."""
        from orchestrator.pipeline import background

        return background.finish(record, engine, self._run_context())

    def _run_context(self) -> RunContext:
        return RunContext(
            cache=self.cache,
            memory=self.memory,
            observer=self.observer,
            new_reader=lambda: new_reader(self.settings),
            explain=explain,
            downgrades=lambda asked, ran: downgrades(asked, ran, self.settings),
        )

    def _record(self, loaded: LoadedRecipe, request: BuildRequest) -> Record:
        recipe = loaded.recipe
        postprocess = recipe.postprocess.plain()
        del postprocess["labels"]  # read from their file, they stand beside it
        return Record(
            labels=request.labels,
            thresholds=recipe.validation.thresholds.plain(skip_none=True),
            preprocessing=stated_preprocessing(recipe),
            postprocess=postprocess,
            strict=recipe.strict or bool(self.settings.strict.value),
            written=tuple(sorted(written_keys(loaded.document.value))),
        )

    def _segments(self, made: Plan, toolchain: Toolchain) -> Sequence[Segment]:
        engine = self.engine(made.request, need_docker=toolchain.imported is not None)
        try:
            return self._resolver(engine).segments(made, toolchain)
        except EngineError as error:
            if not self._may_stay_local(engine, toolchain):
                raise
            # Nobody asked for Docker by name, and both engines give the same bytes.
            self.observer.note(f"engine: local, since {error.message.splitlines()[0]}")
        from orchestrator.engine.local import LocalEngine

        engine.close()
        self._engine = LocalEngine()
        if self.on_engine is not None:
            self.on_engine(self._engine)
        return self._resolver(self.engine(made.request)).segments(made, toolchain)

    def _resolver(self, engine: Engine, *, look_only: bool = False) -> targets.TargetResolver:
        return targets.TargetResolver(
            engine,
            self.overrides,
            self.settings,
            self.workspace,
            self.observer,
            look_only=look_only,
        )

    def _may_stay_local(self, engine: Engine, toolchain: Toolchain) -> bool:
        return (
            self.settings.text("engine") in (None, "auto")
            and engine.info().kind == "docker"
            and toolchain.emulated
            and toolchain.engine_kind is None
        )

    def _foreseen(self, made: Plan, toolchain: Toolchain) -> Finding | None:
        """Return what to know of a plan's training before it starts."""
        if "optimize" not in made.to_run:
            return None
        parameters = made.request.parameters
        wish, imported = self.settings.text("gpu"), toolchain.imported
        gpu = wish == "on" or (wish != "off" and imported is not None and bool(imported.gpu.usable))
        return foresee(
            parameters["optimize"]["level"],
            parameters["optimize"]["script"],
            parameters["calibrate"]["count"],
            gpu=gpu,
            emulated=made.emulated,
        )

    def _tell(self, foreseen: Finding) -> None:
        if foreseen.severity == "info":
            # Screens leave information out; this one is the rehearsal of a warning.
            self.observer.note(f"training: {foreseen.message}")
        else:
            self.observer.finding(foreseen)

    def dry_run(self, loaded: LoadedRecipe, arch: Arch) -> dict[str, Any]:
        """Return the plan and the commands that it stands for; nothing is started."""
        request = self.request(loaded, arch)
        made, _, toolchain = self.plan(request)
        commands: Sequence[str] = ()
        engine_name = None
        foreseen = self._foreseen(made, toolchain)
        if made.to_run:
            engine = self.engine(request, need_docker=toolchain.imported is not None)
            engine_name = engine.info().name
            segments = self._resolver(engine, look_only=True).segments(made, toolchain)
            commands = [
                line
                for segment in segments
                for line in engine.commands(job_for_display(made, segment))
            ]
        return {
            "model": request.model,
            "arch": arch,
            "toolchain": toolchain.name,
            "emulated": toolchain.emulated,
            "engine": engine_name,
            "artifacts": str(self.final_folder(request.model, arch)),
            "stages": [
                {
                    "name": stage.name,
                    "action": "run" if stage.runs else "cached" if stage.entry else "not needed",
                    "key": stage.key,
                }
                for stage in made.stages
            ],
            "commands": list(commands),
            "findings": [] if foreseen is None else [foreseen.to_json()],
        }

    def memory_of_a_job(self) -> int | None:
        """Return the bytes that the project or the command line gives to one job."""
        wanted = self.overrides.memory or self.workspace.file.limits.memory
        return read_size(wanted, "memory limit") if wanted else None

    def sibling(self, observer: Observer) -> BuildSession:
        """Return a session of the same command for another thread: it opens an engine of its own.

        They share the cache and what is known of files, code and recipes.
        """
        other = type(self)(
            self.workspace, self.settings, observer, overrides=self.overrides, fresh=self.fresh
        )
        other.cache, other.memory, other.trust = self.cache, self.memory, self.trust
        other._code, other._full = dict(self._worker_code()), self._full  # noqa: SLF001
        other._toolchains, other._team = self._toolchains, self.team  # noqa: SLF001
        other.hailort, other.renewed = self.hailort, self.renewed
        return other

    def close(self) -> None:
        """Let go of the engine and of the team's store."""
        if self._team is not None and self._owns_team:
            self._team.finish()
            self._team = None
        if self._engine is not None:
            self._engine.close()
            self._engine = None
