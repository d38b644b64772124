"""Where quantisation loses accuracy: layers in the order of harm, and what would help each.

:func:`read_analysis` takes what stage ``analyze`` wrote; the rest is pure. Costs in size follow
from the weights; what 16 bits cost in rate only a compiled network on a chip shows.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Self

from hefsmith_worker.contract import chips

from orchestrator.errors import ArtifactError, escape_control

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Layers that are shown and searched.
WORST = 10
#: Decibels below which a tensor is hurt so that tasks feel it, and above which nothing is lost.
POOR_DB, GOOD_DB = 20.0, 40.0
#: A branch of the head that is this many decibels noisier than the best one is told.
BRANCH_GAP_DB = 10.0
#: The limits are this many times what all but a thousandth of the values need.
OUTLIER = 4.0
#: Values of the samples beyond the limits: more than this share is told.
CLIPPED = 0.001
#: The widest channel reaches this many times as far as the middle one.
SPREAD = 16.0
#: Kinds of layers that multiply two computed tensors; Hailo-8 and 8L do so in 8 bits only
#: (ultralytics pull request 25260).
MATMUL = ("matmul",)
#: The compiler's line whose chips those are.
_EIGHT_BIT_LINE = 3


@dataclass(frozen=True, kw_only=True)
class LayerReport:
    """One layer; ``None`` is what the compiler does not tell.

    ``snr_db`` compares its output with the float network's when all is quantised, ``alone_db``
    the network's worst output when this layer alone is. ``low``, ``high`` and ``bulk`` are values
    of the samples, ``limits`` what the integers can hold, ``clipped`` the share beyond.
    """

    name: str
    type: str
    inputs: tuple[str, ...] = ()
    original_names: tuple[str, ...] = ()
    weights: int = 0
    macs: int | None = None
    snr_db: float | None = None
    alone_db: float | None = None
    activation_bits: int = 8
    weight_bits: int | None = None
    low: float | None = None
    high: float | None = None
    bulk: float | None = None
    limits: tuple[float, float] | None = None
    clipped: float | None = None
    channel_spread: float | None = None
    weight_low: float | None = None
    weight_high: float | None = None
    weight_spread: float | None = None
    channels: int | None = None
    empty_channels: int = 0

    @property
    def short(self) -> str:
        """The name without its scope, as model scripts have it."""
        return self.name.rpartition("/")[2]

    @property
    def precision(self) -> str:
        """Its bits as model scripts have them: ``a8_w8``, or ``a8`` without weights."""
        weights = f"_w{self.weight_bits}" if self.weight_bits else ""
        return f"a{self.activation_bits}{weights}"

    @classmethod
    def read(cls, entry: Mapping[str, Any]) -> Self:
        """Return a layer from JSON."""
        known = {one.name for one in fields(cls)}
        given = {key: value for key, value in entry.items() if key in known}
        for key in ("inputs", "original_names"):
            given[key] = tuple(escape_control(str(name)) for name in given.get(key) or ())
        for key in ("name", "type"):
            given[key] = escape_control(str(given[key]))
        if given.get("limits") is not None:
            low, high = given["limits"]
            given["limits"] = (float(low), float(high))
        return cls(**given)


@dataclass(frozen=True)
class OutputReport:
    """One output of the network: its role in the head (``box``, ``class``...) and its noise."""

    name: str
    stream: str
    onnx_name: str | None
    role: str | None
    snr_db: float | None


@dataclass(frozen=True)
class Analysis:
    """What quantisation does to a network."""

    samples: int
    layers: tuple[LayerReport, ...]
    outputs: tuple[OutputReport, ...]

    @property
    def weights(self) -> int:
        """All weights of the network."""
        return sum(layer.weights for layer in self.layers)

    @property
    def macs(self) -> int:
        """All multiply-accumulates of a frame, as far as they are known."""
        return sum(layer.macs or 0 for layer in self.layers)

    def counts(self) -> dict[str, int]:
        """Return how many layers compute in how many bits (``a8_w4``)."""
        return dict(sorted(Counter(layer.precision for layer in self.layers).items()))


def decibel_text(value: float | None) -> str:
    """Return a ratio as a table shows it: of the same numbers 120 dB and more are told."""
    return "-" if value is None else "exact" if value >= 120.0 else f"{value:.1f}"


@dataclass(frozen=True)
class Advice:
    """What may help a layer: in words, as a line of the model script, and what it costs."""

    text: str
    line: str | None
    cost: str


@dataclass(frozen=True)
class Harm:
    """A layer of the worst ones: why it stands there, and what may help."""

    layer: LayerReport
    why: str
    advice: tuple[Advice, ...]

    def to_json(self) -> dict[str, object]:
        """Return plain values."""
        return {**asdict(self.layer), "why": self.why, "advice": [asdict(a) for a in self.advice]}


def read_analysis(document: object) -> Analysis:
    """Return an analysis from ``analysis.json``; raises :class:`ArtifactError` for another form."""
    try:
        assert isinstance(document, dict)
        assert document["schema"] == 1
        return Analysis(
            samples=int(document["samples"]),
            layers=tuple(LayerReport.read(entry) for entry in document["layers"]),
            outputs=tuple(
                OutputReport(
                    escape_control(str(entry["name"])),
                    escape_control(str(entry["stream"])),
                    entry.get("onnx_name"),
                    entry.get("role"),
                    entry.get("snr_db"),
                )
                for entry in document["outputs"]
            ),
        )
    except (AssertionError, KeyError, TypeError, ValueError) as error:
        msg = f"analysis.json is not of the form that the worker writes: {error!r}"
        raise ArtifactError(msg, hint="Make it again: hef analyze MODEL --fresh") from None


# --- order ---------------------------------------------------------------------------------------


def harm_of(layer: LayerReport, by_name: Mapping[str, LayerReport]) -> float:
    """Return how little a layer harms, in decibels: the least comes first.

    Alone quantised is the fair measure. Without it, the noise that the layer adds to what comes
    in: its own ratio, lowered by how far it falls below that of its inputs.
    """
    if layer.alone_db is not None:
        return layer.alone_db
    if layer.snr_db is None:
        return float("inf")
    before = [
        found.snr_db
        for name in layer.inputs
        if (found := by_name.get(name)) is not None and found.snr_db is not None
    ]
    fall = min(before) - layer.snr_db if before else 0.0
    return layer.snr_db - max(0.0, fall)


def worst_layers(analysis: Analysis, arch: str, count: int = WORST) -> tuple[Harm, ...]:
    """Return the layers that cost most, the worst first, with what would help."""
    by_name = {layer.name: layer for layer in analysis.layers}
    ranked = sorted(
        (layer for layer in analysis.layers if harm_of(layer, by_name) < float("inf")),
        key=lambda layer: (harm_of(layer, by_name), layer.name),
    )
    return tuple(
        Harm(layer, _why(layer), advise(layer, analysis, arch)) for layer in ranked[:count]
    )


def _why(layer: LayerReport) -> str:
    said = []
    if layer.alone_db is not None:
        said.append(f"alone it leaves the outputs {layer.alone_db:.1f} dB")
    if layer.weight_bits == 4:
        said.append("its weights have 4 bits")
    if (times := outlier_of(layer)) is not None:
        said.append(f"outliers take {times:.0f} times the range of the rest")
    if layer.channel_spread is not None and layer.channel_spread > SPREAD:
        said.append(f"its widest channel reaches {layer.channel_spread:.0f} times the middle one")
    if layer.clipped is not None and layer.clipped > CLIPPED:
        said.append(f"{layer.clipped:.1%} of the samples' values are beyond its range")
    if layer.empty_channels:
        said.append(f"{layer.empty_channels} of {layer.channels} channels have no weight")
    return "; ".join(said)


def outlier_of(layer: LayerReport) -> float | None:
    """Return how many times the bulk the limits reach, ``None`` where that is nothing odd."""
    if layer.limits is None or not layer.bulk:
        return None
    times = max(abs(layer.limits[0]), abs(layer.limits[1])) / layer.bulk
    return times if times > OUTLIER else None


# --- what would help -----------------------------------------------------------------------------


def advise(layer: LayerReport, analysis: Analysis, arch: str) -> tuple[Advice, ...]:
    """Return what may help a layer, the likeliest first."""
    found: list[Advice] = []
    if layer.weight_bits == 4:
        found.append(
            Advice(
                "8-bit weights", wide_line([layer.short], "a8_w8"),
                f"{_size(layer.weights / 2)} more weights",
            )
        )  # fmt: skip
    if layer.activation_bits == 8 and may_widen(layer, arch):
        found.append(
            Advice("16 bits", wide_line([layer.short]), widening_cost(layer, analysis))
        )  # fmt: skip
    if outlier_of(layer) is not None:
        found.append(
            Advice(
                "clip its outliers",
                f"pre_quantization_optimization(activation_clipping, layers=[{layer.short}], "
                "mode=percentile, clipping_values=[0.01, 99.99])",
                "nothing in size or rate; rare large values are cut off",
            )
        )
    if layer.channel_spread is not None and layer.channel_spread > SPREAD:
        found.append(
            Advice(
                "equalisation", "pre_quantization_optimization(equalization, policy=enabled)",
                "nothing; every level from 0 on has it where layers allow",
            )
        )  # fmt: skip
    if layer.clipped is not None and layer.clipped > CLIPPED:
        found.append(
            Advice(
                "calibration pictures like the samples", None,
                "see: hef calib analyze MODEL",
            )
        )  # fmt: skip
    if layer.weights:
        found.append(
            Advice(
                "AdaRound", "post_quantization_optimization(adaround, policy=enabled)",
                "time to optimise; needs enough pictures (the compiler's own number is 1024)",
            )
        )  # fmt: skip
    return tuple(found)


def may_widen(layer: LayerReport, arch: str) -> bool:
    """Say whether the chip computes such a layer in 16 bits, as far as that is known."""
    chip = chips.find(arch)
    narrow = chip is not None and chip.line.compiler == _EIGHT_BIT_LINE
    return not (narrow and layer.type in MATMUL)


def wide_line(layers: Sequence[str], mode: str = "a16_w16") -> str:
    """Return the line of a model script that gives layers other bits."""
    return f"quantization_param([{', '.join(layers)}], precision_mode={mode})"


def widening_cost(layer: LayerReport, analysis: Analysis) -> str:
    """Return what 16 bits for a layer cost, as far as it follows from the network."""
    said = []
    if layer.weights:
        share = layer.weights / max(1, analysis.weights)
        said.append(f"{_size(layer.weights)} more weights ({share:.1%} of the network)")
    else:
        said.append("no weights")
    if layer.macs and analysis.macs:
        said.append(f"{layer.macs / analysis.macs:.1%} of the arithmetic gets slower")
    return ", ".join(said)


def _size(count: float) -> str:
    return f"{count / 1000:.1f} kB" if count < 1e6 else f"{count / 1e6:.1f} MB"


# --- outputs -------------------------------------------------------------------------------------


def branch_notes(analysis: Analysis) -> tuple[str, ...]:
    """Return what the outputs show: a ruined box branch behind good scores is the classic."""
    known = [(one, one.snr_db) for one in analysis.outputs if one.snr_db is not None]
    if len(known) < 2:
        return ()
    best = max(value for _, value in known)
    notes = []
    for one, value in known:
        if value < POOR_DB and best - value >= BRANCH_GAP_DB:
            role = f"the {one.role} output" if one.role else "the output"
            notes.append(
                f"{role} {one.stream} is at {value:.1f} dB, the best output at {best:.1f} dB: "
                "scores can look right while this branch is ruined"
            )
    return tuple(notes)
