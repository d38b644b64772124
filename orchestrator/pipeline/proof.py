"""Ship a build and prove it on its device: the glue of ``device`` and ``report``.

The embedded device is a stand-in that gives the same answers every time; its proof is kept
beside the build, so that an unchanged build is not run again. A real device is always asked.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from hefsmith_worker.contract.layout import PROOF

from orchestrator import files
from orchestrator.errors import ConfigError
from orchestrator.files import write_atomic
from orchestrator.pipeline.digests import digest_of
from orchestrator.reading import read_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from orchestrator.device.base import DeviceSpec
    from orchestrator.device.session import SshSession
    from orchestrator.pipeline.finished.builds import Build
    from orchestrator.pipeline.session import BuildSession
    from orchestrator.project.loading import LoadedRecipe
    from orchestrator.project.recipe import Arch
    from orchestrator.report.model import Verdict

#: Raise it when verdicts are reached in another way: what is remembered was judged by the old one.
RULES = 3


@dataclass(frozen=True)
class Proof:
    """What a device said: the verdict, what was shipped, and whether it was asked just now."""

    device: str
    passed: bool
    headline: str
    verdict: Mapping[str, Any] = field(repr=False)
    ship: Mapping[str, Any] | None = field(repr=False)
    identity: Mapping[str, Any] = field(repr=False)
    remembered: bool = False

    def to_json(self) -> dict[str, object]:
        """Return plain values."""
        return {
            "device": self.device,
            "passed": self.passed,
            "headline": self.headline,
            "verdict": dict(self.verdict),
            "ship": None if self.ship is None else dict(self.ship),
            "identity": dict(self.identity),
            "remembered": self.remembered,
        }


class Prover:
    """Ships and validates; holds the connection to the device while builds come in."""

    def __init__(self, build_session: BuildSession) -> None:
        self._session = build_session
        self._spec: DeviceSpec | None = None
        self._sessions: dict[str, SshSession] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for session in self._sessions.values():
            session.close()
        self._sessions.clear()

    # --- which device, which chip -------------------------------------------------------------

    @property
    def spec(self) -> DeviceSpec:
        """The one device, by the rule of all commands; told once where nobody named it."""
        if self._spec is None:
            from orchestrator.pipeline.device_choice import device_choice

            choice = device_choice(self._session.workspace, self._session.settings)
            self._spec = choice.only
            if not choice.named:
                self._session.observer.note(str(choice))
        return self._spec

    def archs(self, loaded: LoadedRecipe, asked: Sequence[str] | None) -> tuple[Arch, ...]:
        """Return the chip to build for: the one asked for, the device's own, or the recipe's.

        A real device is asked before anything is built: it is no use to compile for another
        chip than the one that it has, or with a compiler that its HailoRT cannot follow.
        """
        from orchestrator.pipeline.archs import pick_archs

        chips = pick_archs(loaded, asked)
        if asked and len(chips) > 1:
            msg = f"--arch names {len(chips)} chips ({', '.join(chips)}), and a device has one"
            raise ConfigError(msg, hint="Build for several with: hef build", code="arch.several")
        if self.spec.about.any_chip:
            return chips[:1]
        identity = self.session().identify()
        if identity.chip is None:
            from orchestrator.device.address import device_argument

            msg = f"{self.spec.name}: no Hailo chip answered"
            raise ConfigError(
                msg, hint=f"Look with: hef doctor --device {device_argument(self.spec)}"
            )
        self._session.hailort = identity.hailort
        (own,) = pick_archs(loaded, identity.chip)
        if asked:
            self._check_chip(chips[0], own)
            return chips
        if own not in loaded.recipe.arch:
            self._session.observer.note(
                f"{self.spec.name} has a {own}; the recipe names "
                f"{', '.join(loaded.recipe.arch)}. Building for {own}."
            )
        return (own,)

    def _check_chip(self, asked: Arch, own: Arch) -> None:
        """Raise when a HEF for the chip asked for does not run on the device's."""
        from hefsmith_worker.contract.chips import runs_on

        name = self.spec.name
        if not runs_on(asked, own):
            msg = f"--arch {asked}: {name} has a {own}, which does not run HEFs for {asked}"
            raise ConfigError(
                msg,
                hint=f"Leave out --arch: {name} is asked for its chip. Without shipping:\n"
                f"hef build --arch {asked}",
                code="arch.device",
            )
        if asked != own:
            note = f"{name} has a {own}: a HEF for {asked} runs on it, but slower than its own."
            self._session.observer.note(note)

    # --- proving ------------------------------------------------------------------------------

    def session(self, arch: str | None = None) -> SshSession:
        """Return the connection to the device; the embedded one shows the chip ``arch``."""
        from dataclasses import replace

        from orchestrator.pipeline.device_pool import open_pool

        spec = self.spec
        if spec.about.any_chip and arch is not None:
            spec = replace(spec, emulated_chip=arch)
        name = f"{spec.name}:{spec.emulated_chip or ''}"
        if name not in self._sessions:
            pool = open_pool(
                self._session.workspace, self._session.settings, self._session.observer
            )
            self._sessions[name] = pool.connect(spec)
        return self._sessions[name]

    def prove(self, build: Build, recipe_folder: Path) -> Proof:
        """Ship the build to the device, run the golden samples there, and judge."""
        from orchestrator.pipeline.finished.reporting import write_report

        remembered = self._remembered(build)
        if remembered is not None:
            return remembered
        observer = self._session.observer
        session = self.session(build.arch)
        identity = session.identify()
        began = time.monotonic()
        observer.stage_started("ship")
        with files.scratch("hefsmith-release") as scratch:
            shipped = self._ship(session, build, scratch)
        observer.stage_finished("ship", time.monotonic() - began)
        began = time.monotonic()
        observer.stage_started("validate")
        verdict = self._validate(session, build, recipe_folder)
        write_report(build, verdict, recipe_folder=recipe_folder)
        observer.stage_finished("validate", time.monotonic() - began)
        proof = Proof(
            device=self.spec.name,
            passed=verdict.passed,
            headline=verdict.headline,
            verdict=verdict.to_json(),
            ship=shipped,
            identity=identity.to_json(),
        )
        self._remember(build, proof)
        return proof

    def _ship(self, session: SshSession, build: Build, scratch: Path) -> Mapping[str, Any]:
        from orchestrator.device.ship import ship
        from orchestrator.pipeline.devices import release_of

        observer = self._session.observer
        result = ship(
            session,
            release_of(build, scratch),
            keep=self.spec.keep_releases,
            watch=lambda event: (
                observer.progress("ship", event.done, event.total, "bytes") if event.total else None
            ),
        )
        return result.to_json()

    def _validate(self, session: SshSession, build: Build, recipe_folder: Path) -> Verdict:
        from orchestrator.device.services import service_stopped
        from orchestrator.pipeline.validation import validate_build

        observer = self._session.observer
        with service_stopped(session, self.spec.service):
            return validate_build(
                session,
                build,
                recipe_folder=recipe_folder,
                on_progress=lambda done, total: observer.progress(
                    "validate", done, total, "samples"
                ),
            )

    # --- remembering --------------------------------------------------------------------------

    def _key(self, build: Build) -> str:
        from orchestrator import __version__

        judged_by = {
            name: build.summary.get(name)
            for name in ("labels", "thresholds", "postprocess", "findings")
        }
        return digest_of([build.key, self.spec.name, __version__, RULES, judged_by])

    def _remembered(self, build: Build) -> Proof | None:
        if not self.spec.about.any_chip or self._session.fresh:
            return None
        try:
            document = read_json(build.folder / PROOF)
            if document.pop("key") != self._key(build):
                return None
            document["remembered"] = True
            proof = Proof(**document)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        for stage in ("ship", "validate"):
            self._session.observer.stage_cached(stage)
        return proof

    def _remember(self, build: Build, proof: Proof) -> None:
        document = {"key": self._key(build), **proof.to_json()}
        text = json.dumps(document, indent=1, default=str) + "\n"
        write_atomic(build.folder / PROOF, text)
