"""How many bits each layer was asked to have, and has: ``a8_w8``, ``a16_w16``, ``a8_w4``..."""

from __future__ import annotations

from collections import Counter
from typing import Any, Dict, Iterator, List, Mapping, Sequence

from hefsmith_worker.script.syntax import parse
from hefsmith_worker.script.values import Glob

#: The command that asks for a precision by layer, and its keyword.
_COMMAND, _KEYWORD = "quantization_param", "precision_mode"


def precision_asked(text: str, layers: Sequence[str]) -> Dict[str, str]:
    """Return the mode that a script asks for, by layer of the network; the last one counts."""
    found: Dict[str, str] = {}
    for command in parse(text).commands:
        mode = command.keyword.get(_KEYWORD)
        if command.name == _COMMAND and mode is not None and command.positional:
            found.update((name, str(mode)) for name in _meant(command.positional[0], layers))
    return found


def _meant(value: Any, layers: Sequence[str]) -> Iterator[str]:
    if isinstance(value, Glob):
        yield from (name for name in layers if value.matches(name))
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _meant(one, layers)
    else:
        wanted = str(value)
        yield from (n for n in layers if wanted in (n, n.partition("/")[2]))


def precision_ran(hn: Mapping[str, Any]) -> Dict[str, str]:
    """Return the mode of each layer as a quantised network's description has it.

    Layers of which it says nothing are not there: nobody knows theirs.
    """
    found: Dict[str, str] = {}
    for name, layer in (hn.get("layers") or {}).items():
        given = layer.get("quantization_params") if isinstance(layer, Mapping) else None
        mode = given.get(_KEYWORD) if isinstance(given, Mapping) else None
        if mode:
            found[str(name)] = str(getattr(mode, "value", mode))
    return found


def precision_table(text: str, hn: Mapping[str, Any]) -> Dict[str, object]:
    """Return what a build keeps of it: layers by mode, what was asked, and what is otherwise.

    ``layers`` has the modes other than the usual one by layer.
    """
    ran = precision_ran(hn)
    asked = precision_asked(text, list(hn.get("layers") or {}))
    usual = "a8_w8"
    counts: Dict[str, int] = dict(sorted(Counter(ran.values()).items()))
    otherwise: List[Dict[str, str]] = [
        {"layer": name, "asked": mode, "ran": ran[name]}
        for name, mode in sorted(asked.items())
        if ran.get(name, mode) != mode
    ]
    return {
        "counts": counts,
        "asked": dict(sorted(asked.items())),
        "layers": {name: mode for name, mode in sorted(ran.items()) if mode != usual},
        "otherwise": otherwise,
    }
