"""Reads the log of the vendor's tools as it grows: progress, findings, and what really ran.

Written for lines that nobody has seen yet. What is not understood passes through; a new
version of the tools never breaks a build because its prints changed.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.diagnose import resemblance, rules
from orchestrator.diagnose import text as texts
from orchestrator.diagnose.catalogue import load_catalogue
from orchestrator.diagnose.finding import Asked, Finding, Progress, Ran
from orchestrator.diagnose.gate import OBSERVED, OUTCOME, PROGRESS, SCENE, load_gate
from orchestrator.diagnose.matcher import Hit, Matcher
from orchestrator.diagnose.observed import Observed
from orchestrator.diagnose.outcome import OutcomeReader
from orchestrator.diagnose.progress import ProgressReader

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orchestrator.diagnose.gate import Gate, Verdict


#: What is captured in these groups is listed over all the lines that show an entry.
LISTED = frozenset({"layer", "node", "op"})
MOST_LISTED = 8
#: Messages that sound bad and that no pattern knows: the first ones and the last ones are kept.
MOST_DOUBTFUL = 40
#: How near, and how far ahead, a known failure must be to be recognised by likeness: where the
#: run failed and nothing explains it, and where only the line itself says so.
NEAR_FAILED = (0.34, 0.08)
NEAR_ALONE = (0.45, 0.15)
#: Beside a finding that only names the stage that failed.
NEAR_UMBRELLA = (0.5, 0.15)


class VendorLog:
    """One log, fed line by line; any question may be asked at any time.

    ``asked`` is what the recipe wanted (it makes "64 of 1339 used" visible even when the log
    does not say 1339), ``context`` more words for remedies (``model``, ``recipe``, ``arch``...).
    """

    def __init__(
        self,
        *,
        asked: Asked | None = None,
        context: Mapping[str, str] | None = None,
        file: str | None = None,
        gate: Gate | None = None,
    ) -> None:
        self.asked = asked or Asked()
        self._context: dict[str, str] = dict(context or {})
        self._matcher = Matcher()
        self._gate = gate or load_gate().anew()
        self._progress = ProgressReader()
        self._observed = Observed()
        self._outcome = OutcomeReader()
        self._scene = rules.Scene()
        self._hits: dict[str, Hit] = {}
        self._last: dict[str, int] = {}
        self._listed: dict[tuple[str, str], dict[str, None]] = {}
        self._lines = 0
        self._doubtful: list[tuple[int, str]] = []
        #: Where each file of the story begins: number of lines read before it, and its name.
        self._origins: list[tuple[int, str | None]] = [(0, file)]
        if self.asked.images is not None:
            self._observed.images_given = self.asked.images

    def feed(self, line: str) -> list[Progress | Finding]:
        """Take in one line; return the progress and the new findings that it shows."""
        # Drawings of one bar share the number of the line that they are drawn on.
        self._lines += 1
        if line.endswith("\r") and "\r" not in line[:-1]:
            line = line[:-1]
        verdict = self._gate.judge(line, told=self._outcome.took_note)
        before = self._matcher.taken
        news: list[Progress | Finding] = []
        for part in texts.split_feed(line):
            news.extend(self._feed_part(texts.clean(part), verdict))
        if self._matcher.taken != before:
            self._gate.keep()
        return news

    def _feed_part(self, line: str, verdict: Verdict) -> list[Progress | Finding]:
        readers = verdict.readers
        search = verdict.search or self._matcher.expects
        if not (readers or search or verdict.bulk or verdict.sounds_bad):
            self._matcher.pass_over(self._lines, line)
            return []
        news: list[Progress | Finding] = []
        bare = texts.strip_prefix(line)
        if verdict.bulk and texts.says_nothing(bare):
            return news
        progress = self._progress.feed(bare) if readers & PROGRESS else None
        if progress is not None:
            news.append(progress)
            drawn = progress.done is not None and progress.total is not None
            if drawn and progress.done != progress.total and "nan" not in bare:
                # A bar on its way: nothing else is in it.
                return news
        folded = texts.fold(bare)
        if not folded:
            self._matcher.feed(self._lines, "")
            return news
        if readers & OBSERVED:
            self._observed.feed(folded)
        if readers & SCENE:
            self._scene.feed(folded)
        if readers & OUTCOME:
            self._outcome.feed(self._lines, bare)
        hits: list[Hit] = []
        if search:
            hits = self._matcher.feed(self._lines, line)
        else:
            self._matcher.pass_over(self._lines, line)
        for hit in hits:
            finding = self._take(hit)
            if finding is not None:
                news.append(finding)
        if not hits and resemblance.sounds_bad(folded):
            self._doubt(folded)
        return news

    def _doubt(self, folded: str) -> None:
        """Keep a message that sounds bad; what it means is asked only when nothing else tells."""
        self._doubtful.append((self._lines, folded))
        if len(self._doubtful) > MOST_DOUBTFUL:
            del self._doubtful[MOST_DOUBTFUL // 2]

    def _resembling(self, found: Sequence[Finding]) -> list[Finding]:
        """Return what the unexplained messages are most like, where that is clear enough."""
        if any(one.severity == "fatal" and not one.umbrella for one in found):
            return []
        catalogue = load_catalogue()
        known = {one.id for one in found}
        explained = {one.line for one in found}
        failed = self._outcome.outcome == "failed"
        near, lead = NEAR_FAILED if failed else NEAR_ALONE
        if any(one.severity == "fatal" for one in found):
            near, lead = NEAR_UMBRELLA
        likely: dict[str, Finding] = {}
        for number, message in self._doubtful:
            answer = resemblance.load_examples().nearest(message)
            if answer is None or answer.near < near or answer.lead < lead:
                continue
            if not failed and not resemblance.is_ours(message):
                continue
            entry = catalogue[answer.id]
            if entry.rule or entry.severity == "info" or entry.id in known:
                continue
            if number in explained or entry.vetoed(message):
                continue
            hit = Hit(entry, number, message, {})
            likely.setdefault(entry.id, replace(self._finding(hit), resembles=True))
        return list(likely.values())

    def _take(self, hit: Hit) -> Finding | None:
        """Keep a hit; return it as a finding when it is new."""
        if hit.withdrawn:
            kept = self._hits.get(hit.entry.id)
            if kept is not None and kept.line >= hit.line:
                del self._hits[hit.entry.id]
            return None
        if not rules.holds(hit.entry.rule, hit.captured, self._observed, self.asked):
            return None
        entry = hit.entry
        if entry.severity == "fatal":
            self._outcome.fail(hit.line, entry.stage)
        self._last[entry.id] = hit.line
        for name, value in hit.captured.items():
            self._context.setdefault(name, value)
            if name in LISTED:
                self._listed.setdefault((entry.id, name), {})[value] = None
        if entry.id in self._hits:
            return None
        self._hits[entry.id] = hit
        return self._finding(hit)

    def _finding(self, hit: Hit) -> Finding:
        words = rules.words(self._observed, self.asked) | self._context | dict(hit.captured)
        for (name, group), values in self._listed.items():
            if name == hit.entry.id:
                words[group] = ", ".join(list(values)[:MOST_LISTED])
        if device := hit.captured.get("device"):
            # HailoRT shouts; recipes and compilers write it small.
            words["chip"] = device.lower()
        line, file = self._where(hit.line)
        return rules.fill(hit.entry, words, line=line, text=hit.text, file=file)

    def _where(self, number: int) -> tuple[int, str | None]:
        """Return line and file of the line that was read as number ``number`` over all."""
        index = bisect_left(self._origins, number, key=lambda origin: origin[0]) - 1
        before, file = self._origins[max(index, 0)]
        return number - before, file

    def begin_file(self, name: str | None) -> None:
        """Start the next file of the same story; lines are counted from 1 again."""
        if self._lines == 0:
            self._origins = []
        self._origins.append((self._lines, name))

    def _still_holds(self, hit: Hit) -> bool:
        """Ask again: how many images were given may be known only later."""
        return rules.holds(hit.entry.rule, hit.captured, self._observed, self.asked)

    def unexplained(self, last: str) -> Finding:
        """Return the finding for a failure that nothing in the list explains."""
        number, text = self._outcome.failed_at
        line, file = self._where(number) if number else (None, self._origins[-1][1])
        return rules.unexplained(line, text or last, file)

    def ran(self) -> Ran:
        """Return what really ran, as far as the log tells."""
        stage = self._outcome.stage
        if stage == "setup" and self._progress.stage != "start":
            stage = self._progress.stage
        return self._observed.ran(self._outcome.outcome, stage)

    def findings(self) -> list[Finding]:
        """Return what the whole log shows: worst first, umbrellas only where nothing is specific.

        A failure that the same run got over is kept as ``info`` and ``recovered``.
        """
        hits = {name: hit for name, hit in self._hits.items() if self._still_holds(hit)}
        found = [
            rules.soften(
                self._finding(hit),
                self._outcome.recovered(self._last[name], hit.entry.stage),
            )
            for name, hit in hits.items()
        ]
        found.extend(rules.computed(self._observed, self.asked, self._scene, set(hits)))
        found.extend(
            rules.soften(one, self._outcome.recovered(one.line or 0, one.stage))
            for one in self._resembling(found)
        )
        found = rules.shade(found, {name: hit.entry for name, hit in self._hits.items()})
        if self._outcome.outcome == "failed" and not any(one.severity == "fatal" for one in found):
            found.append(self.unexplained(""))
        return sorted(found, key=rules.rank)


def read_log(
    lines: Iterable[str],
    *,
    asked: Asked | None = None,
    context: Mapping[str, str] | None = None,
    file: str | None = None,
) -> VendorLog:
    """Feed an iterable of lines to a new :class:`VendorLog` and return it."""
    log = VendorLog(asked=asked, context=context, file=file)
    for line in lines:
        log.feed(line)
    return log
