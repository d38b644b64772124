"""What was read of one log so far: the log reader writes it, the judgement makes sense of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.diagnose import kinds, ranking, rules
from orchestrator.diagnose.evidence import Evidence
from orchestrator.diagnose.installs import Installs
from orchestrator.diagnose.observed import Observed
from orchestrator.diagnose.outcome import OutcomeReader
from orchestrator.diagnose.post.questions import Questions
from orchestrator.diagnose.post.session import Session
from orchestrator.diagnose.progress import ProgressReader, Steps
from orchestrator.diagnose.restarts import Restarts
from orchestrator.diagnose.scene import Scene
from orchestrator.diagnose.surroundings import Surroundings
from orchestrator.diagnose.words import text as texts

if TYPE_CHECKING:
    from orchestrator.diagnose.finding import Asked, Diagnosis
    from orchestrator.diagnose.matcher import Hit
    from orchestrator.diagnose.places import Places
    from orchestrator.diagnose.programs import Support

#: A list of names of nodes, as a terminal wraps it.
_NODES = re.compile(r"[\w./:-]+(?:, ?[\w./:-]+)*,?")


@dataclass
class Record:
    """The readers of one log, and what of the list of known failures was found in it."""

    asked: Asked
    #: Words for remedies: from the run, and what lines captured.
    context: dict[str, str]
    places: Places
    session: Session = field(default_factory=Session)
    outcome: OutcomeReader = field(init=False)
    progress: ProgressReader = field(default_factory=ProgressReader)
    steps: Steps = field(default_factory=Steps)
    observed: Observed = field(default_factory=Observed)
    evidence: Evidence = field(default_factory=Evidence)
    scene: Scene = field(default_factory=Scene)
    around: Surroundings = field(default_factory=Surroundings)
    installs: Installs = field(default_factory=Installs)
    restarts: Restarts = field(default_factory=Restarts)
    questions: Questions = field(default_factory=Questions)
    #: Number of lines read.
    lines: int = 0
    #: The hit of each entry that says most, and the last line that showed the entry.
    hits: dict[str, Hit] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)
    #: What was captured of layers, nodes and operators, by entry and group.
    listed: dict[tuple[str, str], dict[str, None]] = field(default_factory=dict)
    #: What was proposed in which line, by group.
    proposed: dict[str, dict[int, str]] = field(default_factory=dict)
    #: Group and line of a proposal that a comma ends: it goes on in the next line.
    unended: tuple[str, int] | None = None
    #: The last line in which somebody says that another failure follows, else 0; and the last in
    #: which the machine was started.
    turn: int = 0
    started: int = 0
    #: Entries shown only in parts of a report that stand beside its failure.
    asides: set[str] = field(default_factory=set)
    #: Outside of these parts a line tells of a failure that nothing in the list knows.
    bad_apart: bool = False

    def __post_init__(self) -> None:
        self.outcome = OutcomeReader(self.session.elsewhere)
        if self.asked.images is not None:
            self.observed.images_given = self.asked.images

    def proof(self, hit: Hit) -> Support:
        """Tell whether ``hit`` proves its cause, by its words, where they stand and what else the
        log shows."""
        shown = self.around.shown(
            hit.entry, hit.line, lambda line: self._on_another(line, hit.line)
        )
        proof = "no" if shown == "no" else self.evidence.proof(hit)
        return "open" if proof == "yes" and shown == "doubted" else proof

    def _on_another(self, line: int, other: int) -> bool:
        """Tell whether two lines are of two machines, of which none was entered from the other."""
        return self.session.elsewhere(line, other) and self.session.elsewhere(other, line)

    def propose(self, name: str, number: int, value: str) -> None:
        """Take note of nodes that the parser proposes in line ``number``."""
        self.proposed.setdefault(name, {})[number] = value.rstrip(" ,")
        self.unended = (name, number) if value.rstrip().endswith(",") else None

    def go_on(self, line: str) -> None:
        """Take in a line, which may be the one below a proposal that did not end."""
        if self.unended is None:
            return
        name, number = self.unended
        self.unended = None
        nodes = texts.fold(texts.strip_prefix(line)).strip(" []")
        if _NODES.fullmatch(nodes):
            self.propose(name, number, f"{self.proposed[name][number]}, {nodes}")

    def _proposed_to(self, hit: Hit) -> dict[str, str]:
        """Return what was proposed in the line of ``hit``, else nearest to the last one that
        shows it: the try that failed last has the proposal that was not tried yet."""
        last = self.last.get(hit.entry.id, hit.line)
        found = {}
        for name, lines in self.proposed.items():
            at = hit.line if name in hit.captured else last
            found[name] = lines[min(lines, key=lambda line: (abs(line - at), -line))]
        return found

    def finding(self, hit: Hit) -> Diagnosis:
        """Return the finding of a hit, with the words of the run; a possible one where it proves
        nothing."""
        words = rules.words(self.observed, self.asked) | self.context | dict(hit.captured)
        words |= self._proposed_to(hit)
        words |= self.around.captured(hit.entry)
        words |= rules.status_words(hit.captured) | rules.address_words(hit.captured)
        for (name, group), values in self.listed.items():
            if name == hit.entry.id:
                words[group] = ", ".join(list(values)[: kinds.MOST_LISTED])
        if device := hit.captured.get("device"):
            # HailoRT shouts; recipes and compilers write it small.
            words["chip"] = device.lower()
        if "closes" in hit.entry.traits:
            known = frozenset(one.line for one in self.hits.values())
            if said := self.evidence.before(hit.line, known):
                words["before"] = said
        line, file = self.places.where(hit.line)
        found = rules.fill(hit.entry, words, line=line, text=hit.text, file=file)
        if self.proof(hit) == "yes":
            return found
        return ranking.possible(found, found.confirm)

    def still_holds(self, hit: Hit) -> bool:
        """Ask again: how many images were given may be known only later."""
        return rules.holds(hit.entry.rule, hit.captured, self.observed, self.asked)

    def failures(self) -> list[Hit]:
        """Return what tells of a failure, proven or possible."""
        return [
            hit
            for hit in self.hits.values()
            if hit.entry.severity in {"fatal", "possible"} and self.proof(hit) != "no"
        ]
