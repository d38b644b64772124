"""How many bits each layer was asked to have, and has: ``a8_w8``, ``a16_w16``, ``a8_w4``..."""

from __future__ import annotations

from collections import Counter
from typing import Any, Dict, FrozenSet, Iterator, List, Mapping, Sequence, Set

from hefsmith_worker.script.syntax import parse
from hefsmith_worker.script.values import Glob

#: The command that asks for a precision by layer, and its keyword.
_COMMAND, _KEYWORD = "quantization_param", "precision_mode"
#: A product of two computed tensors, an output, and kinds that hand numbers on as they are.
_PRODUCT, _OUTPUT = "matmul", "output_layer"
_CARRIERS = frozenset({"format_conversion", "feature_splitter", "slice", "shortcut", "concat"})


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


def around_products(layers: Mapping[str, Any]) -> FrozenSet[str]:
    """Return the products of a parsed network (attention) and what stands right beside them.

    Beside are the layers that feed one or are fed by one, also through layers that only hand
    numbers on: where these have other bits than the product, the precision changes at its door.
    Outputs are left out: their bits are those of the answer.
    """
    known = {str(name): layer for name, layer in layers.items() if isinstance(layer, Mapping)}
    products = {name for name, layer in known.items() if layer.get("type") == _PRODUCT}
    found: Set[str] = set(products)
    for key in ("input", "output"):
        ahead = [str(one) for name in products for one in known[name].get(key) or ()]
        seen: Set[str] = set()
        while ahead:
            name = ahead.pop()
            if name in seen or name not in known:
                continue
            if known[name].get("type") != _OUTPUT:
                seen.add(name)
            if known[name].get("type") in _CARRIERS:
                ahead.extend(str(one) for one in known[name].get(key) or ())
        found |= seen
    return frozenset(found)


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

    ``layers`` has the modes other than the usual one by layer, ``around_products`` the layers
    of which a mode was asked that are products or right beside one.
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
        "around_products": sorted(around_products(hn.get("layers") or {}).intersection(asked)),
    }
