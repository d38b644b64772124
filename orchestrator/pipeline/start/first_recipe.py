"""From a folder to a first recipe: what is there, what is asked, what the network itself shows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from hefsmith_worker.contract.trials import OPEN_SIDE, SIDES

from orchestrator.errors import ConfigError, EngineError, HefsmithError, escape_control, in_one_line
from orchestrator.files import relative
from orchestrator.pipeline.start import code as start_code
from orchestrator.pipeline.start.cut import unasked
from orchestrator.pipeline.start.recipe import COMMONEST, Draft, takes_pictures
from orchestrator.project.starter import (
    Network,
    assumed_preprocessing,
)
from orchestrator.project.survey import decide, stated
from orchestrator.project.survey.arrays import inputs_of
from orchestrator.project.survey.pictures import (
    Labels,
    Shown,
    labels_for,
    to_try,
)
from orchestrator.project.survey.questions import Question
from orchestrator.project.survey.sizes import common_size
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

#: Networks that are tried where the weights do not fit the first.
_MOST_TRIED = 8
#: Why other code may be the one: packages that are not here, and weights that do not fit a network
#: of which a part is of such a package.
_ABSENT = frozenset({"engine.packages", "export.part-absent"})
#: Why a look may fail although the recipe builds elsewhere.
_ELSEWHERE = frozenset(
    {
        "export.torchscript-refused",
        "export.factory-import",
        "export.tensorflow-missing",
        "export.part-absent",
    }
)


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
    fitting = _fitting(given, weights, facts, scripts, draft, labels_before, session)
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
    others = stated.stated_otherwise(scripts, written) if written.scaled else []
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
    side = stated.stated_in_facts(found.facts, given.network.path.name).size
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


@dataclass(frozen=True)
class _Fitting:
    """The code whose network the weights fit, what its files state, and what a run of it showed."""

    code: start_code.Code
    written: stated.Stated
    alike: tuple[int, int] | None
    inputs: Sequence[Mapping[str, tuple[int, ...]]]
    seen: LookResult | None
    failure: HefsmithError | None


def _fitting(
    given: Given,
    weights: Weights,
    facts: Mapping[str, Any],
    scripts: Sequence[Script],
    draft: Draft,
    labels: Labels,
    session: BuildSession,
) -> _Fitting:
    """Find the code, and run it; where the weights do not fit, the next that may be theirs.

    A file has networks in several sizes, and functions that make each: the weights tell which.
    """
    known, shown = _known(scripts, labels.names), given.calibration
    tried: list[str] = []
    refused: ConfigError | None = None
    kept: _Fitting | None = None
    while len(tried) <= _MOST_TRIED:
        try:
            code = start_code.find_code(
                given, weights, scripts, known, draft.target, draft.ask, but=tried
            )
        except ConfigError as error:
            refused = refused or error
            break
        if code is None:
            break
        written = stated.stated_in_facts(weights.facts, given.network.path.name)
        written = written.over(stated.stated_in_facts(facts, "the files beside it"))
        written = written.over(stated.stated_in_scripts(scripts, code.script))
        alike = common_size(shown) if written.size is None and shown is not None else None
        inputs = _inputs(given, weights, written, alike)
        if shown is not None and shown.array is not None and not (given.size or given.inputs):
            inputs = inputs_of(shown.array, weights.rank, weights.channels)
        try:
            seen, failure = _look(
                given, session, code, inputs, shown, labels, written, draft.target
            )
        except ConfigError as error:
            refused = refused or code.unstated or error
            if not code.place or (code.unstated is None and error.code != "export.weights-fit"):
                break
            tried.append(code.place)
            continue
        if seen is None and code.unstated is not None:
            raise code.unstated
        fitting = _Fitting(code, written, alike, inputs, seen, failure)
        if failure is None or failure.code not in _ABSENT or not code.place:
            return fitting
        # Another may fit with all of its parts here.
        kept = kept or fitting
        tried.append(code.place)
    if kept is not None:
        return kept
    assert refused is not None
    if len(tried) > 1:
        names = ", ".join(dict.fromkeys(one.rpartition(":")[2] for one in tried))
        hint = (
            f"Nor does another of the {len(tried)} that were tried ({names}). Write a function "
            "that makes the network as your own program does, and name it: --torch FILE.py:FACTORY"
        )
        raise ConfigError(refused.message, hint=hint, code=refused.code)
    raise refused


def _weights(given: Given) -> tuple[Weights, dict[str, Any]]:
    beside = stated.facts_beside(given.network.path)
    if given.network.kind != "weights":
        return Weights(), beside
    found = read_weights(given.network.path)
    return found, {**beside, **found.facts}


def _known(scripts: Sequence[Script], labels: Sequence[str]) -> dict[str, object]:
    """Return values that scripts compute of their data: lists of class names, by their names."""
    if not labels:
        return {}
    names = {
        name
        for script in scripts
        for name in script.assigned
        if any(word in name.lower() for word in ("class", "label", "categor"))
    }
    return {name: list(labels) for name in names if not name.lower().startswith(("num", "n_"))}


def _inputs(
    given: Given, weights: Weights, written: stated.Stated, alike: tuple[int, int] | None = None
) -> list[dict[str, tuple[int, ...]]]:
    """Return the shapes to try, the likeliest first; ``alike`` is the size of all pictures."""
    sizes = [written.size] if written.size is not None else [(side, side) for side in SIDES]
    if written.sides is not None and written.size is None:
        sizes = [written.sides, written.sides[::-1]]
    if alike is not None:
        sizes = [alike, *(size for size in sizes if size != alike)]
    if given.size is not None:
        sizes = [(given.size[1], given.size[2])] if len(given.size) == 3 else sizes
    if sizes[1:] and given.head.get("task") not in (None, "classification"):
        sizes = [alike or (OPEN_SIDE, OPEN_SIDE)]
    if given.inputs:
        found = []
        for high, wide in sizes:
            found.append({name: _closed(shape, high, wide) for name, shape in given.inputs.items()})
            if found[-1] == found[0] and len(found) > 1:
                return found[:1]
        return found
    if weights.features is not None and given.size is None:
        return [{"features": (1, weights.features)}]
    channels = weights.channels or 3
    if given.size is not None and len(given.size) != 3:
        return [{"features": (1, *given.size)}]
    if given.size is not None:
        channels = given.size[0]
    return [{"image": (1, channels, high, wide)} for high, wide in sizes]


def _guessed_sizes(given: Given, network: Network, alike: tuple[int, int] | None) -> list[str]:
    """Say of each input that takes pictures of any size which one was taken."""
    return [
        f"input {name} takes any size, and {shape[2]} x {shape[3]} is "
        f"{'that of your pictures' if shape[2:] == alike else 'a guess'}: --size "
        f"{','.join(map(str, shape[1:]))} with the sides that it was trained on"
        for name, shape in network.inputs.items()
        if len(shape) == 4 and 0 in given.inputs.get(name, (1,))[2:]
    ]


def _closed(shape: tuple[int, ...], high: int, wide: int) -> tuple[int, ...]:
    """Fill the sides that a file leaves open."""
    sides = [1, *shape[1:]]
    if len(sides) == 4:
        sides = [1, sides[1] or 3, sides[2] or high, sides[3] or wide]
    return tuple(side or 1 for side in sides)


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


def _look(
    given: Given,
    session: BuildSession,
    code: start_code.Code,
    inputs: Sequence[Mapping[str, tuple[int, ...]]],
    shown: Shown | None,
    labels: Labels,
    written: stated.Stated,
    target: Path,
) -> tuple[LookResult | None, HefsmithError | None]:
    """Run the network once, and on labelled pictures where there are any."""
    from orchestrator.pipeline.start.look import Wanted, look

    if not given.measure:
        return None, None
    first = next(iter(inputs[0].values()))
    pictures = to_try(shown, labels.names) if shown is not None else []
    if len(inputs[0]) > 1 or len(first) != 4 or first[1] not in (1, 3):
        pictures = []
    source = shown.root if shown is not None and pictures else target.parent
    draft = {
        "schema": 1,
        "name": given.name,
        "source": code.absolute,
        "inputs": {name: list(shape) for name, shape in inputs[0].items()},
        "calibration": {"source": str(source)},
        "export": {"packages": list(code.packages)},
    }
    if not pictures:
        # Nothing is read of it: the look needs a recipe, and a recipe needs a source.
        draft["calibration"] = {"source": str(given.network.path.resolve())}
    size = written.size
    wanted = Wanted(
        recipe=draft,
        inputs=inputs,
        code=code.draft,
        pictures=pictures,
        classes=len(labels.names),
        scalings=decide.scalings(written, first[1] if len(first) == 4 else 3),
        fits=decide.fits(written, size),
        guessed=code.guessed,
        unstated=code.missing,
    )
    try:
        return look(session, wanted), None
    except EngineError as error:
        return None, error
    except HefsmithError as error:
        others = [one for one in _others(given, first, shown) if one not in inputs]
        if error.code == "look.shape" and others and given.size is None:
            try:
                return look(session, replace(wanted, inputs=others)), None
            except HefsmithError as second:
                error = second
        if error.code in _ELSEWHERE:
            return None, error
        name = escape_control(given.network.path.name)
        msg = error.message if error.message.startswith(name) else f"{name}: {error.message}"
        raise ConfigError(msg, hint=error.hint, code=error.code) from None


def _others(
    given: Given, first: tuple[int, ...], shown: Shown | None
) -> list[dict[str, tuple[int, ...]]]:
    """Return the shapes to try where a network refuses the first: people write width x height, too.

    What comes next is the size of the pictures, whatever it is, and then all that are usual.
    """
    sides = [(first[3], first[2])] if len(first) == 4 and first[2] != first[3] else []
    alike = common_size(shown, usual=False) if shown is not None else None
    sides += [alike] if alike is not None else []
    channels = Weights({"w.weight": (1, first[1], 3, 3)})
    shapes = [one for size in sides for one in _inputs(given, channels, stated.Stated(size=size))]
    return [*shapes, *_inputs(given, channels, stated.Stated())]


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
