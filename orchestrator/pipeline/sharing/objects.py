"""Objects by name in a place that people share: a folder, or whatever fsspec knows.

A name is relative, with forward slashes, and always one of ours. An object appears whole or not
at all: object stores promise that themselves, elsewhere it is sent under another name and then
renamed. A folder needs no library; the rest needs fsspec, which is an extra.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
import socket
import stat
import sys
import threading
import time
import uuid
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from hefsmith_worker.contract import addresses

from orchestrator.errors import ConfigError, HefsmithError, escape_control
from orchestrator.files import FULL, sha256_of
from orchestrator.installation import install_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import BinaryIO

    Told = Callable[[int], None]

#: Folder of what is on its way; what a killed command has left there is removed after a day.
ON_THE_WAY = "in"

_BLOCK = 1 << 20
_DAY_S = 86400
_URL = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+(://|::)")
#: A scheme of more than a letter, which would be a drive of Windows.
_ONE_SLASH = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+):/([^/].*)$")
_LIKE_SCP = re.compile(r"^[\w.-]+@[\w.-]+:")
#: Places where an object is there when all of it is, and a renaming copies it.
_WHOLE_AT_ONCE = frozenset(
    {"abfs", "abfss", "az", "gcs", "gs", "http", "https", "memory", "oss", "s3", "s3a"}
)
#: Places whose streams are slow, and which fetch a file by themselves.
_OVER_SSH = frozenset({"sftp", "ssh"})
#: Seconds: to connect; that a link may lose all that is sent; that a server may say nothing.
_CONNECT_S, _DEAD_S, _SILENT_S = 15.0, 15.0, 45.0


class StoreError(HefsmithError):
    """A store cannot be reached, read or written."""

    default_code = "store"


@dataclass(frozen=True)
class Listed:
    """An object that is there: its name, its size, when it was written (epoch seconds)."""

    name: str
    bytes: int
    changed: float


class Objects(Protocol):
    """Objects by name. ``told`` takes the number of further bytes that have gone or come."""

    @property
    def address(self) -> str:
        """What to call the place on a screen; without a password."""

    def size(self, name: str) -> int | None:
        """Return the size of an object in bytes, ``None`` when there is none."""

    def read(self, name: str, most: int) -> bytes | None:
        """Return an object's bytes, at most ``most``; ``None`` when there is none."""

    def fetch(self, name: str, size: int, target: Path, told: Told) -> str | None:
        """Copy an object to a new file and return its sha256; ``None`` when there is none.

        No more than ``size`` bytes and one are taken: an object that is larger is cut, and its
        sha256 is none that anybody expects.
        """

    def send(self, name: str, source: Path, told: Told) -> None:
        """Copy a file into the place."""

    def write(self, name: str, content: bytes) -> None:
        """Write a small object."""

    def listed(self) -> Iterator[Listed]:
        """Yield every object."""

    def remove(self, name: str) -> None:
        """Remove an object; one that is gone already is no error."""


def load_library(address: str) -> None:
    """Load what the address needs, which takes longer than to connect; what is missing stays so."""
    if not _URL.match(address) or address.lower().startswith("file://"):
        return
    with contextlib.suppress(Exception):
        import fsspec

        fsspec.get_filesystem_class(re.split(r"://|::", address)[0].lower())


def open_objects(address: str, base: Path, *, writing: bool) -> Objects:
    """Return the place at an address; paths are relative to ``base``.

    Raises :class:`ConfigError` for an address that cannot be one, or whose library is missing.
    """
    if address.lower().startswith("file://"):
        from urllib.parse import unquote, urlsplit

        address = unquote(urlsplit(address).path)
        if os.name == "nt":
            address = address.lstrip("/")
    if _URL.match(address):
        return _open_remote(address)
    shown = escape_control(address)
    if _LIKE_SCP.match(address):
        msg = f"store {shown}: this is not an address"
        host, _, path = address.partition(":")
        hint = f"Over SSH it is sftp://{host}/{path.lstrip('/')} (a path from the root)."
        raise ConfigError(msg, hint=hint, code="store.address")
    if found := _ONE_SLASH.match(address):
        msg = f"store {shown}: this is not an address"
        hint = f"With two slashes: {found[1]}://{escape_control(found[2])}; a folder: ./{shown}"
        raise ConfigError(msg, hint=hint, code="store.address")
    if not address.strip() or "\0" in address:
        msg = "the address of the store is empty"
        raise ConfigError(msg, hint="A folder, or s3://bucket/prefix.", code="store.address")
    return _open_folder((base / Path(address).expanduser()).resolve(), writing=writing)


def _open_folder(root: Path, *, writing: bool) -> Folder:
    # A share that is not mounted is often an empty folder, or none: never fill that by mistake.
    if root.is_dir() or (writing and root.parent.is_dir() and not root.exists()):
        return Folder(root)
    if root.exists():
        msg = f"the store {escape_control(str(root))} is not a folder"
        raise ConfigError(
            msg, hint="A store is a folder, or s3://bucket/prefix.", code="store.file"
        )
    msg = f"the store {escape_control(str(root))} does not exist"
    hint = "If it is on a network share: is that mounted?"
    if writing:
        hint += f"\nTo begin a store there: mkdir -p {root}"
    raise ConfigError(msg, hint=hint, code="store.missing")


# --- a folder ------------------------------------------------------------------------------------


class Folder:
    """A folder of this machine or of the network; those who may write to it all can add to it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.address = escape_control(str(root))

    def size(self, name: str) -> int | None:
        """Return the size of a plain file."""
        with self._explained("looked at"):
            try:
                found = (self.root / name).lstat()
            except (FileNotFoundError, NotADirectoryError):
                return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def _open(self, name: str) -> BinaryIO | None:
        # Never a link, which leads anywhere, nor a pipe, on which we would hang.
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        if self.size(name) is None:
            return None
        return os.fdopen(os.open(self.root / name, flags | getattr(os, "O_BINARY", 0)), "rb")

    def read(self, name: str, most: int) -> bytes | None:
        """Return the beginning of a file."""
        with self._explained("read"):
            stream = self._open(name)
            if stream is None:
                return None
            with stream:
                return stream.read(most)

    def fetch(self, name: str, size: int, target: Path, told: Told) -> str | None:
        """Copy a file out."""
        with self._explained("read"):
            stream = self._open(name)
            if stream is None:
                return None
            with stream:
                return drain(stream, target, size, told)

    def send(self, name: str, source: Path, told: Told) -> None:
        """Copy a file in, under its name only when all of it is there."""
        with self._arriving(name) as part, source.open("rb") as stream, part.open("xb") as sink:
            while block := stream.read(_BLOCK):
                sink.write(block)
                told(len(block))

    def write(self, name: str, content: bytes) -> None:
        """Write a small file."""
        with self._arriving(name) as part:
            part.write_bytes(content)

    def listed(self) -> Iterator[Listed]:
        """Yield every plain file, but for what is on its way."""
        with self._explained("read"):
            for path in sorted(self.root.rglob("*")):
                name = path.relative_to(self.root).as_posix()
                found = path.lstat()
                if stat.S_ISREG(found.st_mode) and not name.startswith(f"{ON_THE_WAY}/"):
                    yield Listed(name, found.st_size, found.st_mtime)

    def remove(self, name: str) -> None:
        """Remove a file."""
        with self._explained("written"):
            (self.root / name).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _arriving(self, name: str) -> Iterator[Path]:
        with self._explained("written"):
            part = self._made(self.root / ON_THE_WAY) / uuid.uuid4().hex
            try:
                yield part
                part.chmod(self._mode() & 0o666)
                part.replace(self._made((self.root / name).parent) / Path(name).name)
            finally:
                part.unlink(missing_ok=True)

    def _mode(self) -> int:
        return stat.S_IMODE(self.root.stat().st_mode)

    def _made(self, folder: Path) -> Path:
        """Make a folder that whoever may write to the store's own may write to."""
        if not folder.is_dir():
            if folder != self.root:
                self._made(folder.parent)
            folder.mkdir(exist_ok=True)
            if folder != self.root:
                with contextlib.suppress(OSError):  # another user was quicker
                    folder.chmod(self._mode())
        return folder

    def tidy(self) -> None:
        """Remove what killed commands have left behind."""
        with contextlib.suppress(OSError):
            for left in (self.root / ON_THE_WAY).iterdir():
                if time.time() - left.lstat().st_mtime > _DAY_S:
                    left.unlink()

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            msg = f"the store {self.address} cannot be {what}: {error.strerror or error}"
            hint = f"See: ls -ld {self.address}"
            if error.errno in FULL:
                hint = f"See: df -h {self.address}. Smaller, for everybody: hef cache gc --store"
            elif error.errno == errno.EROFS:
                hint = "It is mounted read-only."
            raise StoreError(msg, hint=hint) from error


# --- whatever fsspec knows -----------------------------------------------------------------------


def _open_remote(address: str) -> Remote:
    shown = without_password(address)
    try:
        import fsspec
    except ImportError:
        msg = f"store {shown}: this needs fsspec, which is not installed"
        raise ConfigError(
            msg,
            hint=f"{install_command('store')}\nA plain folder needs nothing.",
            code="store.library",
        ) from None
    protocol = re.split(r"://|::", address)[0].lower()
    options: dict[str, object] = {}
    if protocol in _OVER_SSH:
        ends = ("timeout", "auth_timeout", "channel_timeout")
        options = {"host_key_policy": _known_hosts(), **dict.fromkeys(ends, _CONNECT_S)}
    try:
        system, root = fsspec.core.url_to_fs(address, **options)
        system.invalidate_cache()
        if protocol in _OVER_SSH:
            _give_ends(system)
    except ImportError as error:
        msg = f"store {shown}: {_reason(error)}"
        raise ConfigError(msg, hint="Install what it names.", code="store.library") from None
    except Exception as error:
        msg = f"the store {shown} cannot be opened: {_reason(error)}"
        raise StoreError(msg, hint=_hint(protocol)) from error
    return Remote(system, str(root).rstrip("/"), shown, protocol)


class Remote:
    """A place that fsspec knows."""

    def __init__(self, system: Any, root: str, address: str, protocol: str) -> None:
        self.address = address
        self._system = system
        self._root = root
        self._protocol = protocol
        # A connection over SSH takes one question at a time.
        self._one = threading.RLock() if protocol in _OVER_SSH else contextlib.nullcontext()

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def size(self, name: str) -> int | None:
        """Return what the place says of an object's size."""
        with self._explained("looked at"):
            try:
                found = self._system.info(self._path(name))
            except FileNotFoundError:
                return None
            if found.get("type", "file") != "file" or found.get("size") is None:
                return None
            return int(found["size"])

    def read(self, name: str, most: int) -> bytes | None:
        """Return the beginning of an object."""
        with self._explained("read"):
            try:
                with self._system.open(self._path(name), "rb") as stream:
                    content: bytes = stream.read(most)
            except FileNotFoundError:
                return None
            return content

    def fetch(self, name: str, size: int, target: Path, told: Told) -> str | None:
        """Copy an object to this machine."""
        with self._explained("read"):
            try:
                if self._protocol in _OVER_SSH:
                    # Reads ahead, and never more than the size that was told.
                    if self.size(name) != size:
                        return None if self.size(name) is None else ""
                    self._system.get_file(self._path(name), str(target))
                    told(size)
                    return sha256_of(target)
                with self._system.open(self._path(name), "rb") as stream:
                    return drain(stream, target, size, told)
            except FileNotFoundError:
                return None

    def send(self, name: str, source: Path, told: Told) -> None:
        """Copy a file there."""
        from fsspec.callbacks import Callback

        left = source.stat().st_size

        class News(Callback):  # type: ignore[misc]  # fsspec has no types
            """Passes on what fsspec tells."""

            def relative_update(self, inc: int = 1) -> None:
                nonlocal left
                count = min(inc, left)
                left -= count
                told(count)

        def put(path: str) -> None:
            self._system.put_file(str(source), path, callback=News())

        with self._explained("written"):
            self._place(name, put)
        told(left)  # not every place tells how far it is

    def write(self, name: str, content: bytes) -> None:
        """Write a small object."""
        with self._explained("written"):
            self._place(name, lambda path: self._system.pipe_file(path, content))

    def listed(self) -> Iterator[Listed]:
        """Yield every object, but for what is on its way."""
        with self._explained("read"):
            self._system.invalidate_cache()
            try:
                found = self._system.find(self._root, detail=True)
            except FileNotFoundError:
                return
        for path, one in sorted(found.items()):
            name = str(path)[len(self._root) :].lstrip("/")
            if not name.startswith(f"{ON_THE_WAY}/"):
                yield Listed(name, int(one.get("size") or 0), _changed(one))

    def remove(self, name: str) -> None:
        """Remove an object."""
        with self._explained("written"), contextlib.suppress(FileNotFoundError):
            self._system.rm_file(self._path(name))

    def _place(self, name: str, put: Callable[[str], object]) -> None:
        path = self._path(name)
        if self._protocol in _WHOLE_AT_ONCE:
            put(path)
            return
        part = self._path(f"{ON_THE_WAY}/{uuid.uuid4().hex}")
        for needed in (part, path):
            self._system.makedirs(needed.rpartition("/")[0], exist_ok=True)
        try:
            put(part)
            self._system.mv(part, path)
        except BaseException:
            with contextlib.suppress(Exception):
                self._system.rm_file(part)
            raise

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            with self._one:
                yield
        except HefsmithError:
            raise
        except Exception as error:
            # Each library has errors of its own.
            if self._protocol in _OVER_SSH and isinstance(error, EOFError | TimeoutError):
                self._system.clear_instance_cache()  # the next one connects anew
                with contextlib.suppress(Exception):
                    self._system.client.close()
            msg = f"the store {self.address} cannot be {what}: {_reason(error)}"
            raise StoreError(msg, hint=_hint(self._protocol)) from error


def _give_ends(system: Any) -> None:
    """Give every wait for an SSH server an end: paramiko waits for ever when a link is cut."""
    channel = system.ftp.get_channel()
    channel.settimeout(_SILENT_S)
    transport = channel.get_transport()
    transport.set_keepalive(5)  # so that there is always something which may be lost
    if sys.platform == "linux":  # elsewhere the channel's own end is all there is
        with contextlib.suppress(AttributeError, OSError):
            milliseconds = round(_DEAD_S * 1000)
            transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)


def _changed(info: Mapping[str, Any]) -> float:
    """Return when an object was written; each place has a word and a form of its own for that."""
    for word in ("mtime", "LastModified", "last_modified", "updated", "created"):
        value = info.get(word)
        if isinstance(value, int | float):
            return float(value)
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, str):
            with contextlib.suppress(ValueError):
                return datetime.fromisoformat(value).timestamp()
    return time.time()  # not known: it counts as young


def _known_hosts() -> object:
    """Return the rule that an SSH server must be one whose key the user has accepted before."""
    import paramiko

    class KnownOnly(paramiko.MissingHostKeyPolicy):  # type: ignore[misc]  # it has no types
        """Knows what ``ssh`` knows; fsspec's own rule is to trust whoever answers."""

        def missing_host_key(self, client: object, hostname: str, key: Any) -> None:  # noqa: ARG002
            known = paramiko.HostKeys()
            with contextlib.suppress(OSError):
                known.load(os.path.expanduser("~/.ssh/known_hosts"))  # noqa: PTH111
            if not known.check(hostname, key):
                kind = key.get_name()
                msg = f"the host key ({kind}) of {hostname} is not in ~/.ssh/known_hosts"
                raise paramiko.SSHException(msg)

    return KnownOnly()


def _hint(protocol: str) -> str:
    if protocol in _OVER_SSH:
        return (
            "Log in once with ssh, by the same name, and look at the host's key; keys come from\n"
            "the agent or ~/.ssh, aliases of ~/.ssh/config are not known here."
        )
    return f"Check the address, and that your credentials for {protocol} are set up."


#: A login without the address around it, as libraries quote what they took for a name.
_LOGIN = re.compile(r"(?<![\w/])([\w.+-]+):[^\s/@\"']+@")


def _reason(error: BaseException) -> str:
    if isinstance(error, EOFError):
        return "the connection was lost"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    said = _LOGIN.sub(r"\1:***@", addresses.hidden(" ".join(str(error).split())))
    return escape_control(said[:200]) or type(error).__name__


def without_password(address: str) -> str:
    """Return an address as it may be shown."""
    return addresses.shown(escape_control(address))


def drain(stream: Any, target: Path, most: int, told: Told) -> str:
    """Copy a stream to a new file, up to one byte more than ``most``; return the sha256."""
    digest = hashlib.sha256()
    left = most + 1
    with target.open("xb") as sink:
        while left and (block := stream.read(min(_BLOCK, left))):
            digest.update(block)
            sink.write(block)
            left -= len(block)
            told(len(block))
    return digest.hexdigest()


def room_at(folder: Path) -> int:
    """Return the bytes that are free on a folder's disk."""
    return shutil.disk_usage(folder).free
