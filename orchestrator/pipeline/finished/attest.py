"""Is a file what its manifest says? Digests of every subject, the form, and a signature if any.

A manifest is an in-toto statement with a SLSA provenance predicate (``orchestrator.pipeline
.manifest``). It proves that the files belong together and what they were made of, as its writer
says; who wrote it, only a signature proves. A signature is one of OpenSSH's (``ssh-keygen -Y
sign -n file``) beside the manifest, and counts when a list of signers has its key.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from hefsmith_worker.contract import names
from hefsmith_worker.contract.layout import MANIFEST

from orchestrator.errors import ArtifactError, ConfigError, escape_control
from orchestrator.files import sha256_of
from orchestrator.pipeline.finished.manifest import BUILD_TYPE, PREDICATE, STATEMENT
from orchestrator.pipeline.finished.signatures import LONGEST, Signed, check
from orchestrator.reading import RECORD_LIMIT, need, read_json, read_regular

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: Ending of a manifest's signature, and what ``ssh-keygen`` calls its purpose.
SIGNATURE = ".sig"
NAMESPACE = "file"

State = Literal["ok", "changed", "missing"]
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True)
class Statement:
    """A manifest that has the right form. ``subjects`` are digests by path."""

    path: Path
    subjects: Mapping[str, str]
    model: str
    arch: str
    asked: Mapping[str, Any]
    toolchain: str
    emulated: bool
    identity: Mapping[str, Any]
    materials: Mapping[str, str]
    version: str
    finished: str


@dataclass(frozen=True)
class Subject:
    """One file that a manifest vouches for, and what became of it."""

    path: str
    sha256: str
    state: State


@dataclass(frozen=True)
class Attestation:
    """What a look at a manifest and its files gave."""

    statement: Statement
    subjects: tuple[Subject, ...]
    signed: Signed

    @property
    def good(self) -> bool:
        """Whether every file is as the manifest has it, and no signature is wrong."""
        return self.signed.state != "bad" and all(one.state == "ok" for one in self.subjects)

    def to_json(self) -> dict[str, object]:
        """Return plain values."""
        statement = self.statement
        return {
            "manifest": str(statement.path),
            "model": statement.model,
            "arch": statement.arch,
            "toolchain": statement.toolchain,
            "emulated": statement.emulated,
            "hefsmith": statement.version,
            "finished": statement.finished,
            "good": self.good,
            "subjects": [vars(one) for one in self.subjects],
            "materials": dict(statement.materials),
            "signature": vars(self.signed),
        }


def find_manifest(artifact: Path) -> tuple[Path, str | None]:
    """Return the manifest that goes with a build folder, a manifest, or a file of a build.

    The second is the file's path in the build, ``None`` for all of it.
    """
    if artifact.is_dir():
        if (artifact / MANIFEST).is_file():
            return artifact / MANIFEST, None
    elif artifact.is_file():
        if artifact.name == MANIFEST or artifact.suffix == ".json":
            return artifact, None
        for folder in list(artifact.absolute().parents)[:4]:
            if (folder / MANIFEST).is_file():
                return folder / MANIFEST, artifact.absolute().relative_to(folder).as_posix()
    else:
        msg = f"no such file or folder: {escape_control(str(artifact))}"
        raise ConfigError(msg, code="file.missing")
    msg = f"{escape_control(str(artifact))}: there is no {MANIFEST} beside it"
    raise ConfigError(msg, hint="Name it: hef verify FILE --manifest FILE", code="verify.manifest")


def read_statement(path: Path) -> Statement:
    """Return a manifest; raises :class:`ArtifactError` for what is none of hefsmith's."""
    try:
        document = read_json(path)
        need(document["_type"] == STATEMENT, "it is no in-toto statement")
        need(document["predicateType"] == PREDICATE, "its predicate is no SLSA provenance")
        definition = document["predicate"]["buildDefinition"]
        need(definition["buildType"] == BUILD_TYPE, "another program made it")
        subjects = {str(one["name"]): _digest(one) for one in document["subject"]}
        need(bool(subjects), "it vouches for nothing")
        for name in subjects:
            need(names.fault(name) is None, f"a subject's path is odd: {names.shown(name)}")
        outer, inner = definition["externalParameters"], definition["internalParameters"]
        run = document["predicate"]["runDetails"]
        return Statement(
            path=path,
            subjects=subjects,
            model=str(outer["model"]),
            arch=str(outer["arch"]),
            asked=dict(outer["asked"]),
            toolchain=str(inner["toolchain"]),
            emulated=bool(inner["emulated"]),
            identity=dict(inner["identity"]),
            materials={str(o["name"]): _digest(o) for o in definition["resolvedDependencies"]},
            version=str(run["builder"]["version"]["hefsmith"]),
            finished=str(run["metadata"]["finishedOn"]),
        )
    except OSError as error:
        msg = f"{escape_control(str(path))} cannot be read: {error.strerror or error}"
        raise ConfigError(msg, code="file.missing") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        why = str(error) if type(error) is ValueError else f"it lacks what one has ({error})"
        msg = f"{escape_control(str(path))} is not the manifest of a build: {escape_control(why)}"
        raise ArtifactError(msg, code="verify.form") from error


def _digest(entry: Mapping[str, Any]) -> str:
    digest = str(entry["digest"]["sha256"])
    need(_SHA256.match(digest) is not None, "a digest is no sha256")
    return digest


def attest(
    statement: Statement,
    *,
    only: str | None = None,
    file: Path | None = None,
    signers: Path | None = None,
) -> Attestation:
    """Compare the files beside a manifest with it: all, ``only`` one, or a ``file`` elsewhere.

    ``signers`` is a list of signers as ``ssh-keygen(1)`` has it.
    """
    folder = statement.path.parent
    if file is not None:
        digest = sha256_of(file)
        named = next((n for n, known in statement.subjects.items() if known == digest), None)
        state: State = "ok" if named is not None else "changed"
        subjects = [Subject(named or file.name, digest, state)]
    else:
        wanted = statement.subjects
        if only is not None:
            if only not in wanted:
                msg = f"{statement.path} does not name the file {escape_control(only)}"
                raise ArtifactError(msg, code="verify.subject")
            wanted = {only: wanted[only]}
        subjects = [
            Subject(name, digest, _state(folder / name, digest)) for name, digest in wanted.items()
        ]
    return Attestation(statement, tuple(subjects), check_signature(statement.path, signers))


def _state(path: Path, digest: str) -> State:
    try:
        return "ok" if sha256_of(path) == digest else "changed"
    except (OSError, ConfigError):
        return "missing"


def check_signature(manifest: Path, signers: Path | None) -> Signed:
    """Return what is known of a manifest's signature; nothing is asked without a list."""
    signature = manifest.with_name(manifest.name + SIGNATURE)
    if not signature.is_file():
        if signers is not None:
            return Signed("bad", why=f"there is no {signature.name}")
        return Signed("none")
    if signers is None:
        return Signed("not checked", why="no list of signers is named (--signers)")
    try:
        text = read_regular(signature, limit=LONGEST).decode("utf-8", "replace")
        content = read_regular(manifest, limit=RECORD_LIMIT)
    except OSError as error:
        return Signed("bad", why=f"it cannot be read: {error.strerror or error}")
    return check(content, text, signers, NAMESPACE)
