"""Checkpoints: read without running the code that they may carry.

A pickled checkpoint is a program. It is read with ``weights_only``, where the classes of
networks are shells that run nothing (:mod:`hefsmith_worker.stages.structure`). TorchScript is a
program, too: it is loaded in the box, or not at all. What needs more is refused unless the
recipe says ``trust_pickle``, and that only where there is a box.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import re
import struct
import zipfile
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Set, Tuple

from hefsmith_worker.packed_weights import packed
from hefsmith_worker.protocol import StageError
from hefsmith_worker.stages import numpy_shells, structure, torchscript

#: Where training tools put the weights, best first: averaged ones are what they validate with.
STATE_KEYS = (
    "state_dict_ema",
    "model_ema",
    "ema_state_dict",
    "ema",
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "net",
    "network",
    "weights",
)
#: Where a value under one of them may hold them once more.
INNER_KEYS = ("module", "state_dict", "model")
#: Tensors that wrappers keep beside a network's own.
WRAPPERS_OWN = frozenset({"n_averaged"})

Name = Tuple[str, str]


def load(path: Path, trust_pickle: bool, own: Optional[Any] = None, boxed: bool = False) -> Any:
    """Return what a checkpoint holds: weights by name, a network, or a dict around them.

    ``own`` is the module of the user's factory: classes from its folder are the user's own code.
    ``boxed`` tells that a program may do no harm here, so that TorchScript may run.
    Raises :class:`StageError` for a file that is not there, unreadable, or wants to run code.
    """
    import torch

    if not path.is_file():
        raise StageError("the weights %s do not exist" % path.name, code="export.weights-missing")
    _refuse_impostor(path)
    if path.suffix.lower() == ".safetensors":
        return _load_safetensors(path)
    if torchscript.is_one(path):
        torchscript.check(path, allowed=trust_pickle or boxed)
        return torch.jit.load(str(path), map_location="cpu")
    names = names_in(path)
    try:
        with _admitting([*structure.shells(names, own), *numpy_shells.stand_ins(names)]):
            found = torch.load(str(path), map_location="cpu", weights_only=True)
        return structure.rebuilt(found)
    except structure.NotPlain as error:
        refused: Exception = error
    except Exception as error:
        # A hostile pickle may break its reader in any way.
        refused = error
        if not isinstance(error, pickle.UnpicklingError) or not _wants_more(error):
            raise StageError(
                "%s is not a checkpoint that torch can read: %s" % (path.name, first_line(refused)),
                code="export.weights-unreadable",
                fix="Save it again with torch.save(model.state_dict(), %r)." % path.name,
            )
    if not trust_pickle:
        raise _refusal(path, names, refused)
    try:
        return torch.load(str(path), map_location="cpu", weights_only=False)
    except Exception as error:
        raise StageError(
            "%s cannot be unpickled: %s: %s" % (path.name, type(error).__name__, first_line(error)),
            code="export.weights-unreadable",
            fix=_install(_absent(names))
            or "The classes it was made of must be importable where the export runs.",
        )


def _refuse_impostor(path: Path) -> None:
    """Refuse what lies where weights should and is something else.

    PyTorch takes its letters for a pickle that wants to run code, and whoever is told so may
    switch the guard off.
    """
    with open(str(path), "rb") as file:
        start = file.read(64)
    code = "export.weights-unreadable"
    if start.startswith(b"version https://git-lfs"):
        raise StageError(
            "%s is a Git LFS pointer, not the weights" % path.name,
            code=code,
            fix="Fetch the file itself: git lfs pull",
        )
    # Not by its first byte: a safetensors file begins with a number, which may be 60.
    if start.lstrip().lower().startswith((b"<!doctype", b"<html")):
        raise StageError(
            "%s is a web page, not the weights" % path.name,
            code=code,
            fix="Download the file itself, not the page about it.",
        )
    if start.startswith(b"\x01HEF"):
        raise StageError(
            "%s is a HEF, not weights" % path.name,
            code=code,
            fix="Name the weights that it was compiled from.",
        )
    found = packed(path)
    if found is not None:
        raise StageError(found.message, code=code, fix=found.fix)


def _wants_more(error: Exception) -> bool:
    """Tell whether PyTorch refused what a checkpoint wants, rather than its bytes."""
    return "weights_only" in str(error).lower()


def first_line(error: object) -> str:
    """Return an error's first line, without the advice that PyTorch adds below it."""
    return (str(error).strip().splitlines() or [""])[0]


#: Bytes of a checkpoint's pickle: it names tensors and classes, the numbers lie beside it.
LARGEST_PICKLE = 64 << 20


def names_in(path: Path) -> Set[Name]:
    """Return the (module, name) of everything that a checkpoint's pickle refers to; runs nothing.

    Empty for a file that is no zip archive of PyTorch's (its format since 1.6).
    """
    try:
        with zipfile.ZipFile(str(path)) as archive:
            inside = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            if not inside or archive.getinfo(inside[0]).file_size > LARGEST_PICKLE:
                return set()
            return _names(archive.read(inside[0]))
    except (zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, RuntimeError):
        return set()
    except (ValueError, IndexError, OverflowError, NotImplementedError):
        return set()


def _names(data: bytes) -> Set[Name]:
    found: Set[Name] = set()
    memo: Dict[int, str] = {}
    texts: List[str] = []
    for code, argument, _ in pickletools.genops(io.BytesIO(data)):
        if code.name == "GLOBAL":
            module, _, name = str(argument).partition(" ")
            found.add((module, name))
        elif code.name == "STACK_GLOBAL" and len(texts) >= 2:
            found.add((texts[-2], texts[-1]))
        elif "UNICODE" in code.name:
            texts.append(str(argument))
        elif code.name == "MEMOIZE" and texts:
            memo[len(memo)] = texts[-1]
        elif code.name in ("BINPUT", "LONG_BINPUT") and texts:
            memo[int(argument or 0)] = texts[-1]
        elif code.name in ("BINGET", "LONG_BINGET") and argument in memo:
            texts.append(memo[argument])
    return found


@contextmanager
def _admitting(classes: List[Tuple[Any, str]]) -> Iterator[None]:
    """Let ``weights_only`` make these shells, for as long as the context lasts."""
    from torch import serialization

    before = serialization.get_safe_globals()
    # Nothing that somebody else has admitted: only PyTorch's own tensors, and the shells.
    serialization.clear_safe_globals()
    serialization.add_safe_globals(list(classes))
    try:
        yield
    finally:
        serialization.clear_safe_globals()
        serialization.add_safe_globals(before)


def _absent(names: Set[Name]) -> List[str]:
    """Return the packages that a checkpoint needs and that are not installed."""
    from importlib.util import find_spec

    roots = {module.partition(".")[0] for module, _ in names}
    absent = []
    for root in sorted(roots - {structure.MAIN, "__builtin__", "copy_reg"}):
        try:
            if find_spec(root) is None:
                absent.append(root)
        except (ImportError, ValueError):
            absent.append(root)
    return absent


def _install(packages: List[str]) -> str:
    if not packages:
        return ""
    return "It needs %s where the export runs. In the recipe: export: {packages: [%s]}" % (
        " and ".join(packages),
        ", ".join(packages),
    )


def _wanted(refused: Exception) -> str:
    """Return what PyTorch did not find harmless, without the advice to load it all the same."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(refused))
    found = re.search(r"[Uu]nsupported [^\n]*?(?= by default|\. |\n|$)", text)
    return found.group().strip() if found else first_line(text)


def _refusal(path: Path, names: Set[Name], refused: Exception) -> StageError:
    absent = _absent(names)
    if "ultralytics" in absent:
        return StageError(
            "%s is a network of Ultralytics, which is not installed where the export runs"
            % path.name,
            code="export.ultralytics-missing",
            fix="In the recipe: export: {packages: [ultralytics]}. With the local engine: "
            "pip install ultralytics.",
        )
    return StageError(
        "%s holds more than weights, and loading it would run the code inside: %s"
        % (path.name, _wanted(refused)),
        code="export.pickle-refused",
        fix="Save only the weights: torch.save(model.state_dict(), ...), or name the file that "
        "defines the network: source: {torch: model.py:build}. If you trust the file, write "
        "source: {trust_pickle: true} in the recipe (Docker engine only).",
    )


def find_state(
    holder: Mapping[Any, Any],
    is_tensor: Callable[[Any], bool],
    is_network: Callable[[Any], bool],
) -> Optional[Tuple[str, Any]]:
    """Return the key and the weights, or the network, that a training tool's dictionary holds.

    Averaged weights go first, unless they lack tensors that others have (such as the statistics
    of batch normalisation). Where nothing lies under a known key it is what looks like weights
    and has most tensors; ``None`` where nothing does.
    """
    found: List[Tuple[str, Any]] = []
    for key in STATE_KEYS:
        value = holder.get(key)
        places = [(key, value)]
        if isinstance(value, dict):
            places += [("%s.%s" % (key, inner), value.get(inner)) for inner in INNER_KEYS]
        for name, one in places:
            if is_network(one):
                return found[0] if found else (name, one)
            if isinstance(one, dict) and any(is_tensor(tensor) for tensor in one.values()):
                found.append((name, one))
                break
    if not found:
        return next(iter(named_states(holder, is_tensor)), None)
    most = max(_tensors(one, is_tensor) for _, one in found)
    return next(pair for pair in found if _tensors(pair[1], is_tensor) == most)


def named_states(
    holder: Mapping[Any, Any], is_tensor: Callable[[Any], bool]
) -> List[Tuple[str, Dict[str, Any]]]:
    """Return what looks like the weights of a network, under any key, most tensors first."""
    found = [
        (str(key), value)
        for key, value in holder.items()
        if isinstance(value, dict)
        and any(is_tensor(one) and str(name).endswith("weight") for name, one in value.items())
    ]
    return sorted(found, key=lambda pair: -_tensors(pair[1], is_tensor))


def _tensors(state: Mapping[Any, Any], is_tensor: Callable[[Any], bool]) -> int:
    return sum(is_tensor(one) for name, one in state.items() if name not in WRAPPERS_OWN)


def _load_safetensors(path: Path) -> Any:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError:
        raise StageError(
            "reading %s needs safetensors, which is not installed where the export runs"
            % path.name,
            code="export.safetensors-missing",
            fix="In the recipe: export: {packages: [safetensors]}. With the local engine: "
            "pip install safetensors.",
        )
    try:
        return load_file(str(path))
    except (SafetensorError, ValueError, OSError) as error:
        raise StageError(
            "%s is not a safetensors file: %s" % (path.name, first_line(error)),
            code="export.weights-unreadable",
        )


def state_of(checkpoint: Any) -> Dict[str, Any]:
    """Find the mapping of names to tensors inside whatever a training tool has saved."""
    import torch

    if isinstance(checkpoint, torch.nn.Module):
        return dict(checkpoint.state_dict())
    if not isinstance(checkpoint, dict):
        raise StageError(
            "the checkpoint is a %s, not weights" % type(checkpoint).__name__,
            code="export.weights-shape",
        )
    if checkpoint and all(torch.is_tensor(value) for value in checkpoint.values()):
        return checkpoint
    found = find_state(
        checkpoint, torch.is_tensor, lambda value: isinstance(value, torch.nn.Module)
    )
    if found is not None:
        inner = found[1]
        state = inner.state_dict() if isinstance(inner, torch.nn.Module) else inner
        return {name: v for name, v in state.items() if torch.is_tensor(v)}
    tensors = {name: v for name, v in checkpoint.items() if torch.is_tensor(v)}
    if tensors:
        return tensors
    raise StageError(
        "the checkpoint has no weights under any known key; it has: %s"
        % ", ".join(map(str, list(checkpoint)[:12])),
        code="export.weights-shape",
    )


def network_in(checkpoint: Any, name: str) -> Any:
    """Return the network that a pickle or a TorchScript file holds whole."""
    import torch

    if isinstance(checkpoint, torch.nn.Module):
        return checkpoint
    if isinstance(checkpoint, dict):
        for key in ("ema", "model", "net"):
            if isinstance(checkpoint.get(key), torch.nn.Module):
                return checkpoint[key]
    raise StageError(
        "%s holds weights but no network" % name,
        code="export.no-network",
        fix='Name the function that builds it: source: {torch: "model.py:build", weights: %s}'
        % name,
    )
