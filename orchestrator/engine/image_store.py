"""Images of others on an engine: loaded from a stream, found, built from wheels, asked.

What :mod:`orchestrator.toolchain` needs of an engine, and no more.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.engine import context as contexts
from orchestrator.engine import images, products
from orchestrator.engine.base import Box, Completed, ImageBuildError, ImageInfo, Report, ignore
from orchestrator.engine.transfer import ArchiveMember
from orchestrator.errors import EngineError, escape_control

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from orchestrator.engine.base import Pruned
    from orchestrator.engine.client import Connection
    from orchestrator.engine.protocols import Engine

WHEELS = "docker/suite/wheels"

#: Where the containerd of a distribution keeps its images.
CONTAINERD = Path("/var/lib/containerd")

#: How many images are tried when only a container can tell how full a far engine's disk is.
TRIED = 3


class DockerImages:
    """The images of one Docker engine (:class:`orchestrator.engine.protocols.ImageStore`)."""

    def __init__(self, engine: Engine, connection: Connection) -> None:
        self._engine = engine
        self._connection = connection

    @property
    def name(self) -> str:
        """What the engine is called in records: its address."""
        return self._engine.info().address

    @property
    def runtimes(self) -> tuple[str, ...]:
        """Container runtimes that the engine offers."""
        return self._engine.info().runtimes

    @property
    def architecture(self) -> str:
        """Processor of the engine (``amd64``, ``arm64``)."""
        return self._engine.info().architecture

    def find(self, reference: str) -> ImageInfo | None:
        """Return an image by tag or id, ``None`` if the engine lacks it; never pulls."""
        return self._engine.find_image(reference)

    def free_space(self) -> int | None:
        """Return free bytes on the disk of the engine's images, ``None`` if nobody can tell."""
        info = self._engine.info()
        if not self._connection.address.far and info.data_root:
            root = Path(info.data_root)
            if not products.find(info.product).machine and root.is_dir():
                try:
                    if not (info.containerd_store and lies_apart(root)):
                        return shutil.disk_usage(root).free
                except OSError:
                    pass
        for image in images.listing(self._connection)[:TRIED]:
            free = self._free_inside(image)
            if free is not None:
                return free
        return None

    def _free_inside(self, image: ImageInfo) -> int | None:
        # The root of a container lies on the disk that holds the images.
        try:
            done = self._engine.capture(image.id, ("/bin/df", "-Pk", "/"), timeout=60.0)
        except EngineError:
            return None
        match = re.search(r"\s(\d+)\s+\d+%\s+/\s*$", done.stdout.strip())
        return int(match[1]) * 1024 if done.exit_code == 0 and match else None

    def prune(self, *, keep: Collection[str], dry_run: bool = False) -> Pruned:
        """Remove our old images and leftovers; see :func:`orchestrator.engine.prune.prune`."""
        from orchestrator.engine.prune import prune

        return prune(self._connection, keep=keep, dry_run=dry_run)

    def load(self, label: str, blocks: Iterator[bytes]) -> tuple[str, ...]:
        """Give an image archive to the engine as a stream; return the names or ids in it.

        Raises :class:`ImageBuildError` when the engine does not take it. What ``blocks`` raises
        passes through.
        """
        import docker.errors

        names: list[str] = []
        api: Any = self._connection.api
        guarded = _Blocks(blocks)
        try:
            with self._connection.calls(f"loading {label}"):
                response = api.post(
                    f"{api.base_url}/v{api.api_version}/images/load",
                    data=guarded,
                    params={"quiet": 0},
                    stream=True,
                    timeout=images.SILENCE,
                )
                if response.status_code >= 400:
                    raise refused(label, _message(response))
                for line in response.iter_lines():
                    news = json.loads(line) if line else {}
                    if "error" in news:
                        raise refused(label, str(news["error"]))
                    said = str(news.get("stream") or "")
                    names.extend(re.findall(r"Loaded image(?: ID)?: (\S+)", said))
        except (EngineError, docker.errors.DockerException):
            # The engine only sees a connection that ended; the reason is ours.
            if guarded.error is not None:
                raise guarded.error from None
            raise
        if not names:
            raise refused(label, "the engine named no image")
        return tuple(names)

    def ask(
        self,
        image: str,
        argv: tuple[str, ...],
        *,
        gpus: bool = False,
        env: Mapping[str, str] | None = None,
        timeout: float = 300.0,
    ) -> Completed:
        """Run a short program in an image, without network, and return what it printed."""
        return self._engine.capture(
            image, argv, limits=Box(gpus=gpus), env=env or {}, timeout=timeout
        )

    def build_suite(
        self,
        folder: Path,
        wheels: tuple[Path, ...],
        *,
        tag: str,
        dockerfile: str = "Dockerfile",
        arguments: Mapping[str, str] | None = None,
        report: Report = ignore,
    ) -> ImageInfo:
        """Build an image of ``docker/suite`` (``folder``) with the user's own ``wheels``."""
        blobs = contexts.read_folder(folder, "docker/suite")
        if os.environ.get("HEFSMITH_OFFLINE"):
            # Install from the given wheels alone; `docker/suite/install.sh` looks for it.
            blobs[f"{WHEELS}/offline"] = contexts.Blob(b"")
        blobs["Dockerfile"] = blobs[f"docker/suite/{dockerfile}"]
        settings = images.pip_settings().files()
        blobs.update(
            {name.replace(contexts.WHEELS, WHEELS): blob for name, blob in settings.items()}
        )
        entries = (
            ArchiveMember(WHEELS, folder, folder=True, size=0),
            *(
                ArchiveMember(f"{WHEELS}/{one.name}", one, False, one.stat().st_size)
                for one in wheels
            ),
        )
        return images.build(
            self._connection,
            contexts.Context(blobs, entries),
            tag=tag,
            arguments={**images.base_arguments(), **(arguments or {})},
            report=report,
        )


def lies_apart(root: Path, store: Path = CONTAINERD) -> bool:
    """Tell whether containerd keeps images on another disk than the engine's own ``root``.

    A containerd that the engine started itself keeps them below ``root``.
    """
    if (root / "containerd").is_dir():
        return False
    return store.is_dir() and store.stat().st_dev != root.stat().st_dev


class _Blocks:
    """Iterates over blocks and remembers the error that ended them."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self.error: BaseException | None = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._blocks
        except BaseException as error:
            self.error = error
            raise


def _message(response: Any) -> str:
    try:
        return str(response.json().get("message") or response.text)
    except ValueError:
        return str(response.text)


def refused(label: str, said: str) -> ImageBuildError:
    """Return the error for an archive that the engine did not take, with its words explained."""
    text = said.lower()
    hint = "The file may be damaged: compare its checksum with the download page."
    if "no space left" in text:
        hint = "The engine's disk is full. Free space there: docker system df, docker image prune"
    elif "blobs/json" in text:
        # What engines before Docker 25 say of the layout that buildx and skopeo write.
        said = "it is in the OCI layout alone, which this engine is too old to read"
        hint = (
            "Convert it: skopeo copy oci-archive:FILE docker-archive:NEW.tar:NAME:1\n"
            "or load it into Docker 25 or newer, and save it there with docker save."
        )
    elif "/repositories: no such file" in text or "unrecognized image format" in text:
        said = "it is a tar, and no image is in it"
        hint = "Give the download itself (…_docker.zip or .tar.gz), not something out of it."
    return ImageBuildError(
        f"the engine did not take {label}: {escape_control(said.strip()[:500])}",
        hint=hint,
        code="engine.image-load",
    )
