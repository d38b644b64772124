"""From a folder to a first recipe: what is there, what is asked, what the network itself shows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from orchestrator.errors import ConfigError, escape_control, in_one_line
from orchestrator.files import relative
from orchestrator.pipeline.start.cut import unasked
from orchestrator.pipeline.start.fitting import fit
from orchestrator.pipeline.start.recipe import COMMONEST, Draft, takes_pictures
from orchestrator.project.starter import (
    Network,
    assumed_preprocessing,
)
from orchestrator.project.survey import beside, decide, programs, stated
from orchestrator.project.survey.pictures import (
    Shown,
    labels_for,
)
from orchestrator.project.survey.questions import Question
from orchestrator.project.survey.weights import Weights, read_weights

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from orchestrator.pipeline.session import BuildSession
    from orchestrator.pipeline.start.look import LookResult
    from orchestrator.project.survey.code import Script
    from orchestrator.project.survey.folder import Folder
    from orchestrator.project.survey.given import Given
    from orchestrator.project.survey.questions import Ask


@dataclass(frozen=True)
class Started:
    """A recipe, and what is to be written beside it.

    ``files`` are texts by path; ``comments`` stand in the recipe above its sections; ``said`` is
    what was found and decided, ``notes`` what to know or to do.
    """

    recipe: dict[str, Any]
    network: Network
    files: Mapping[Path, str] = field(default_factory=dict)
    comments: Mapping[str, Sequence[str]] = field(default_factory=dict)
    said: Sequence[str] = ()
    notes: Sequence[str] = ()
    #: What has to be done before it can be built, as a clause.
    first: str = ""


def start(
    given: Given, folder: Folder, scripts: Sequence[Script], session: BuildSession, ask: Ask
) -> Started:
    """Return a first recipe for a network.

    Raises :class:`ConfigError` where none can be written that builds, in the words of the build.
    """
    target = session.workspace.models / given.name
    draft = Draft(given, folder, target, ask)
    if given.network.checkpoint is not None and given.network.checkpoint.kind == "ultralytics":
        return _ultralytics(draft)
    weights, facts = _weights(given)
    _refuse_volumes(given)
    _refuse_other_size(given)
    shown = given.calibration
    labels_before = labels_for(
        shown, weights.classes_out, facts=facts, scripts=scripts, files=folder.labels
    )
    fitting = fit(given, weights, facts, scripts, draft, labels_before, session)
    code, written, alike = fitting.code, fitting.written, fitting.alike
    inputs, seen, failure = fitting.inputs, fitting.seen, fitting.failure
    draft.files.update(code.files)
    draft.said += code.said
    if failure is not None:
        draft.notes.append(f"the network was not run: {in_one_line(failure)}")
    elif seen is not None and seen.kwargs is not None:
        code = code.as_run(seen.kwargs, seen.export)
    written = _as_run(written, seen, draft)
    network = _network(seen, inputs, given)
    if shown is not None and shown.array is not None:
        network = replace(network, arrays=True)
    if shown is not None and shown.numbers and network.head.get("task") == "classification":
        network = replace(network, head=_of_numbers(shown))
    if seen is not None and len(seen.input_scaling) == len(network.inputs) == 1:
        written = stated.stated_in_graph(next(iter(seen.input_scaling.values()))).over(written)
    classes = network.head.get("classes") or weights.classes_out
    labels = labels_for(shown, classes, facts=facts, scripts=scripts, files=folder.labels)
    if seen is not None:
        trials = [decide.Trial.read(one) for one in seen.trials]
        if (told := decide.undecided(trials, len(labels_before.names))) is not None:
            draft.notes.append(
                f"the labelled pictures do not tell how they are prepared: at best {told[0]} of "
                f"{told[1]} are right, as guessing may be: are these the network's "
                f"{len(labels_before.names)} classes, in its order?"
            )
            seen = replace(seen, trials=())
    if written.hidden is not None and not written.scaled:
        draft.notes.append(
            f"{written.hidden} scales pictures by numbers that are known only when it runs"
        )
    decision = _decide(written, seen, network, draft, ask)
    others = programs.stated_otherwise(scripts, written) if written.scaled else []
    if others and decision.section and not decision.figure:
        named = ", ".join(others[:3]) + (" and more" if len(others) > 3 else "")
        draft.notes.append(
            f"other programs here scale pictures otherwise ({named}): the recipe must have the "
            "scaling that this network was trained with"
        )
    network = replace(network, inputs=_sized(network.inputs, decision.section, seen, alike, ask))
    if seen is not None and not given.inputs and len(set(network.inputs.values())) > 1:
        takes = ", ".join(f"{name} {shape[1]}" for name, shape in network.inputs.items())
        draft.notes.append(
            f"channels of the inputs were found by trying: {takes}; check their order"
        )
    if given.size is None and written.size is None:
        draft.notes += _guessed_sizes(given, network, alike)
    ends = seen.end_nodes if seen is not None else ()
    recipe = draft.compose(code, network, shown, labels, decision.section)
    if ends := unasked(ends, network.head):
        recipe["parser"] = {"end_nodes": list(ends)}
        draft.said.append(
            f"end nodes: {', '.join(ends)}; what is behind them is not for the chip, and runs on "
            "the host"
        )
    return Started(
        recipe, network, draft.files, draft.comments, draft.said, draft.notes, draft.first
    )


def _refuse_volumes(given: Given) -> None:
    """Refuse an input of five dimensions before it is looked at: no recipe can name it."""
    from hefsmith_worker.contract.findings import VIDEO_FIX

    for name, shape in given.inputs.items():
        if len(shape) > 4:
            file = given.network.path.name
            msg = f"{file}: input {name} has {len(shape)} dimensions: {list(shape)}"
            raise ConfigError(escape_control(msg), hint=VIDEO_FIX, code="init.volume")


def _ultralytics(draft: Draft) -> Started:
    """Return a recipe for a checkpoint of Ultralytics: its settings are those it trains with."""
    from orchestrator.project.starter import ultralytics_recipe

    given, target = draft.given, draft.target
    checkpoint, shown = given.network.checkpoint, given.calibration
    assert checkpoint is not None
    found = read_weights(given.network.path)
    side = beside.stated_in_facts(found.facts, given.network.path.name).size
    pictures = draft.as_written(shown)
    detects = shown is not None and shown.task == "detection"
    recipe = ultralytics_recipe(
        relative(given.network.path, target),
        checkpoint.task or "detection",
        pictures=replace(pictures, classes=() if detects else pictures.classes),
        arch=draft.chip(),
        side=given.size[-1] if given.size is not None else side[0] if side is not None else None,
    )
    if detects and shown is not None and shown.names and "nms" in recipe["postprocess"]:
        recipe["postprocess"]["labels"] = list(shown.names)
        recipe["postprocess"]["nms"]["classes"] = len(shown.names)
        draft.said.append(f"labels: {', '.join(shown.names[:8])} ({shown.calibration.name})")
    if shown is None:
        draft.miss_pictures()
        recipe["calibration"]["source"] = f"calib/{given.name}"
    draft.comments["preprocessing"] = ["Ultralytics trains so."]
    shape = tuple(recipe["inputs"]["images"])
    head = {"task": checkpoint.task} if checkpoint.task else {}
    network = Network({"images": shape}, head)
    return Started(
        recipe, network, draft.files, draft.comments, draft.said, draft.notes, draft.first
    )


def _weights(given: Given) -> tuple[Weights, dict[str, Any]]:
    around = beside.facts_beside(given.network.path)
    if given.network.kind != "weights":
        return Weights(), around
    found = read_weights(given.network.path)
    return found, {**around, **found.facts}


def _guessed_sizes(given: Given, network: Network, alike: tuple[int, int] | None) -> list[str]:
    """Say of each input that takes pictures of any size which one was taken."""
    return [
        f"input {name} takes any size, and {shape[2]} x {shape[3]} is "
        f"{'that of your pictures' if shape[2:] == alike else 'a guess'}: --size "
        f"{','.join(map(str, shape[1:]))} with the sides that it was trained on"
        for name, shape in network.inputs.items()
        if len(shape) == 4 and 0 in given.inputs.get(name, (1,))[2:]
    ]


def _refuse_other_size(given: Given) -> None:
    """Refuse a ``--size`` that no input of the file can have: it would be passed over."""
    if given.size is None or not given.inputs:
        return
    for shape in given.inputs.values():
        # Batch left out; a side that the file leaves open is 0, and TensorFlow has channels last.
        for sides in (shape[1:], (*shape[-1:], *shape[1:-1])):
            pairs = list(zip(sides, given.size, strict=False))
            if len(sides) == len(given.size) and all(one in (0, said) for one, said in pairs):
                return
    said = ",".join(map(str, given.size))
    takes = "; ".join(
        f"{name} {'x'.join(str(side or '?') for side in shape)}"
        for name, shape in given.inputs.items()
    )
    file = given.network.path.name
    msg = f"--size {said}: no input of {file} takes that; it has {takes}"
    hint = "Leave --size out, or export the network with that size."
    raise ConfigError(escape_control(msg), hint=hint, code="init.size")


def _as_run(written: stated.Stated, seen: LookResult | None, draft: Draft) -> stated.Stated:
    """Return what is written with the size that the network took, where it refuses the other."""
    shapes = list(seen.runs[0].values()) if seen is not None else []
    if written.size is None or len(shapes) != 1 or len(shapes[0]) != 4:
        return written
    sizes = {(one[2], one[3]) for run in seen.runs for one in run.values()} if seen else set()
    if written.size in sizes:
        return written
    took = (shapes[0][2], shapes[0][3])
    high, wide = written.size
    draft.notes.append(
        f"the network refuses pictures of {high} x {wide} (height x width), the size that its "
        f"files state, and takes {took[0]} x {took[1]}"
    )
    return replace(written, size=took)


def _network(
    seen: LookResult | None, inputs: Sequence[Mapping[str, tuple[int, ...]]], given: Given
) -> Network:
    if seen is None:
        return Network(inputs[0], given.head)
    head = dict(seen.head)
    sides = [side for side in seen.outputs[0][1:] if side != 1] if seen.outputs else []
    if head.get("task") == "classification" and not head.get("classes") and len(sides) == 1:
        head["classes"] = sides[0]
    return Network(seen.runs[0], head)


def _of_numbers(shown: Shown) -> dict[str, Any]:
    """Return the head of a network whose pictures come with numbers and no classes."""
    why = f"{shown.told_by} gives each picture numbers ({', '.join(shown.numbers[:4])}), no class"
    return {"task": "other", "reasons": [why]}


def _decide(
    written: stated.Stated, seen: LookResult | None, network: Network, draft: Draft, ask: Ask
) -> decide.Decision:
    trials = [decide.Trial.read(one) for one in seen.trials] if seen is not None else []
    channels = {shape[1] for shape in network.inputs.values() if len(shape) == 4}
    if len(channels) == 1:
        written = stated.stated_for(written, channels.pop())
    decision = decide.decide(written, trials, assumed_preprocessing(network))
    if not takes_pictures(network):
        return replace(decision, section=assumed_preprocessing(network), asks=False)
    if decision.asks and decision.options:
        said = decision.contradicts or "these do equally well on your pictures"
        options = tuple((str(i), one.words) for i, one in enumerate(decision.options))
        answer = ask(Question("preprocessing", "How are pictures prepared?", options, "0", said))
        if decision.contradicts:
            draft.notes.append(decision.contradicts)
        picked = decision.options[int(answer)]
        if picked is not decision.options[0]:
            decision = decide.chosen(decision, picked)
        elif not decision.contradicts:
            others = "; ".join(one.words for one in decision.options[1:])
            draft.notes.append(f"preprocessing: as good on these pictures: {others}")
    elif decision.asks:
        draft.notes.append(COMMONEST)
    comments = [*(f"from {where}" for where in decision.why[:4])]
    if decision.figure:
        comments.append(decision.figure)
        draft.said.append(f"preprocessing: {_brief(decision.section)}; {decision.figure}")
    elif decision.why:
        draft.said.append(f"preprocessing: {_brief(decision.section)}, from {decision.why[0]}")
    draft.comments["preprocessing"] = comments
    if seen is not None and seen.left and decision.figure:
        draft.notes.append(
            f"there was no time for {seen.left} more ways of preparing pictures; --size C,H,W, "
            "where you know the size that it was trained on, leaves time for them"
        )
    best = max((one.right / max(1, len(one.losses)) for one in trials), default=1.0)
    if best < 0.5:
        draft.notes.append(
            f"under the best preprocessing only {best:.0%} of the labelled pictures are right: are "
            "these the network's classes, in its order?"
        )
    return decision


def _brief(section: Mapping[str, Any]) -> str:
    scale = section.get("preset") or (
        "0..255" if section.get("normalize") == "none" else f"mean {section.get('mean')}"
    )
    return f"{scale}, {section.get('color')}, {section.get('resize')}"


def _sized(
    inputs: Mapping[str, tuple[int, ...]],
    section: Mapping[str, Any],
    seen: LookResult | None,
    alike: tuple[int, int] | None,
    ask: Ask,
) -> dict[str, tuple[int, ...]]:
    """Return the inputs at the size that was decided, or is asked for where many would do."""
    found = dict(inputs)
    if len(found) != 1 or "size" not in section:
        return found
    name, shape = next(iter(found.items()))
    if len(shape) != 4:
        return found
    high, wide = section["size"]
    if seen is not None and len(seen.runs) > 1 and not seen.trials:
        sizes = {(one[name][2], one[name][3]) for one in seen.runs if name in one}
        named = {str(h) if h == w else f"{h}x{w}": (h, w) for h, w in sorted(sizes)}
        default = "224" if "224" in named else next(iter(named))
        reason = "the network takes several, and neither its files nor labelled pictures tell"
        for one, size in named.items():
            if size == alike:
                default = one
                reason = "the network takes several; all of your pictures have this size"
        options = tuple((one, f"{h} x {w}") for one, (h, w) in named.items())
        question = Question(
            "size", "Which size of picture was it trained on?", options, default, reason
        )
        high, wide = named[ask(question)]
    return {name: (1, shape[1], int(high), int(wide))}
