"""Who vouches for an entry of a store: its maker's SSH key, and the list of whose word counts.

The signature is of the whole entry, and stands in it: an entry and its signature can never be of
two minds. Its files are signed with it, as it has their digests.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import escape_control
from orchestrator.pipeline.finished import signatures

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.pipeline.cache import StageCache
    from orchestrator.project.settings import Settings

#: What ``ssh-keygen`` calls the purpose: a signature of something else never counts here.
PURPOSE = "hefsmith-store"
#: The key of an entry's document that has the signature.
FIELD = "signature"


@dataclass(frozen=True)
class Signing:
    """The key that signs, and the list of signers that are asked for. Both may be missing."""

    key: Path | None = None
    signers: Path | None = None

    @property
    def asked(self) -> str:
        """Who asks, in words."""
        return f"asked by {escape_control(str(self.signers))}"


UNSIGNED = Signing()


def signing_of(settings: Settings, project: Path) -> Signing:
    """Return what the settings ask; paths are relative to the project."""

    def path(name: str) -> Path | None:
        text = settings.text(name)
        return (project / Path(text).expanduser()) if text else None

    return Signing(path("sign_with"), path("signers"))


def signed_document(document: Mapping[str, Any], signing: Signing) -> dict[str, object]:
    """Return an entry's document with its signature, or as it is where no key is named."""
    bare = {name: value for name, value in document.items() if name != FIELD}
    if signing.key is None:
        return bare
    return {**bare, FIELD: signatures.sign(_content(bare), signing.key, PURPOSE)}


def check_entry(document: Mapping[str, Any], signing: Signing) -> str | None:
    """Return why an entry's document is not taken, ``None`` where it is."""
    if signing.signers is None:
        return None
    signature = document.get(FIELD)
    if signature is None:
        return "it is not signed (its maker names a key: sign_with, HEFSMITH_SIGN_WITH)"
    if not isinstance(signature, str):
        return "its signature is none"
    bare = {name: value for name, value in document.items() if name != FIELD}
    found = signatures.check(_content(bare), signature, signing.signers, PURPOSE)
    if found.state == "good":
        return None
    by = f" ({escape_control(found.by)})" if found.by else ""
    return f"its signature does not count{by}: {found.why}"


def _content(document: Mapping[str, Any]) -> bytes:
    """Return the bytes that are signed: the document in the one form that JSON has of it."""
    plain = json.loads(json.dumps(document))
    return json.dumps(plain, sort_keys=True, separators=(",", ":")).encode("ascii")


def unsigned_note(signing: Signing, address: str, cache: StageCache) -> str | None:
    """Return what is to be told, once for each store and cache, of entries nobody vouches for."""
    if signing.signers is not None:
        return None
    mark = f"unsigned/{hashlib.sha256(address.encode()).hexdigest()[:16]}"
    if cache.noted(mark):
        return None
    cache.note(mark)
    return (
        f"store: nobody vouches for what comes from {escape_control(address)}: whoever may write "
        "there decides what is built from it (signers: in hef.yaml asks for signatures)"
    )
