"""Reads the log of the vendor's tools as it grows: progress, findings, and what really ran.

Written for lines that nobody has seen yet. What is not understood passes through; a new
version of the tools never breaks a build because its prints changed.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.diagnose import kinds, rules
from orchestrator.diagnose.finding import Asked, Diagnosis, Progress, Ran
from orchestrator.diagnose.installs import STOPS
from orchestrator.diagnose.judgement import Judgement
from orchestrator.diagnose.matcher import Hit, Matcher
from orchestrator.diagnose.notable import weight_as_told
from orchestrator.diagnose.places import Places
from orchestrator.diagnose.post.listings import Listings
from orchestrator.diagnose.post.pasted import Pasted
from orchestrator.diagnose.post.told import (
    Manual,
    as_it_is_now,
    heads_aside,
    is_doubtful,
    moved_on,
    only_speaks_of,
    title_of,
)
from orchestrator.diagnose.post.whole import read_whole
from orchestrator.diagnose.prefilter import (
    EVIDENCE,
    OBSERVED,
    OUTCOME,
    PROGRESS,
    SCENE,
    load_prefilter,
)
from orchestrator.diagnose.record import Record
from orchestrator.diagnose.restarts import Units
from orchestrator.diagnose.standing import told_already
from orchestrator.diagnose.tested import Tests
from orchestrator.diagnose.tracebacks import CALM, Ignored
from orchestrator.diagnose.words import text as texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchestrator.diagnose.prefilter import Prefilter, Verdict


#: What a prompt must hold.
PROMPTS = ("$", "#", "%", ">", "\u276f", "\u279c")
#: What an installer says of its end stands at the beginning of a line.
LONGEST_HEAD = 1000
#: How the log of the kernel, or a journal of several starts, shows that the machine was started.
STARTS = re.compile(
    r"^\[ *0\.0+\] (?:Booting Linux|Linux version \d)|^-- (?:Boot [0-9a-f]{6}|Reboot --)"
)
LONGEST_START = 80
#: A line that told nothing so many times in a row tells nothing the next time.
STEADY = 8
#: A line of this weight tells of a failure.
_WEIGHTY = 3


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
        prefilter: Prefilter | None = None,
    ) -> None:
        self._log = Record(asked or Asked(), dict(context or {}), Places(file))
        self._pasted = Pasted()
        self._listings = Listings()
        self._manual = Manual()
        self._tests = Tests()
        self._units = Units()
        self._matcher = Matcher()
        self._prefilter = prefilter or load_prefilter().anew()
        self._ignored = Ignored()
        #: The line that is read proves nothing: somebody only supposes it, or quotes it.
        self._doubted = False
        #: Such lines so far: a message that begins in one proves nothing, wherever it ends.
        self._doubtful: set[int] = set()
        #: The part of a report that is being read stands beside its failure.
        self._aside = False
        #: The first line, where it may be the heading of a post; and whether it stands apart.
        self._title = ""
        self._headed = False
        #: The last line and how often it came in a row, while it told nothing.
        self._same, self._again = "", 0
        #: Whether the line that is read showed something of the list, alone or with those before.
        self._hit = False
        #: Whether it holds wording that decides what a failure elsewhere means.
        self._around = False

    def feed(
        self,
        line: str,
        *,
        doubted: bool = False,
        more: int = 0,
        inner: bool = False,
        beside: str = "",
        place: str = "",
    ) -> list[Progress | Diagnosis]:
        """Take in one line; return the progress and the new findings that it shows.

        A ``doubted`` one proves nothing. ``more`` lines below it were taken into it, and an
        ``inner`` one stood in the same line as the one before. ``beside`` is no message.
        ``place`` is the machine that it is of, where that is told."""
        # Drawings of one bar share the number of the line that they are drawn on.
        self._log.lines += 1
        if inner:
            self._log.places.join(self._log.lines)
        self._doubted = doubted
        if doubted:
            self._doubtful.add(self._log.lines)
        self._log.around.at(self._log.lines, line, place)
        self._log.questions.feed(line)
        if line[:LONGEST_START].startswith(("[", "-- ")) and STARTS.search(line[:LONGEST_START]):
            self._log.started = self._log.lines
        if beside:
            shown = texts.fold(texts.clean(beside))
            self._log.around.feed(shown)
            self._log.scene.feed_shown(shown.lower())
        news = self._feed_line(line)
        self._log.lines += more
        return news

    def _feed_line(self, line: str) -> list[Progress | Diagnosis]:
        if line == self._same and self._again > STEADY:
            # It showed nothing, alone or with those before; so it is once more.
            self._matcher.pass_over(self._log.lines, line)
            return []
        if self._log.evidence.tracebacks.caught and CALM.match(line):
            self._log.evidence.tracebacks.calm()
        if ago := self._manual.feed(line):
            self._answered(self._log.lines - ago)
        given, line = line, self._pasted.as_printed(line)
        if line.endswith("\r") and "\r" not in line[:-1]:
            line = line[:-1]
        verdict = self._prefilter.judge(line, told=self._log.outcome.took_note)
        if moved_on(line):
            self._log.turn = self._log.lines
        aside = heads_aside(line)
        self._aside = self._aside if aside is None else aside
        if verdict.search or verdict.sounds_bad:
            line = as_it_is_now(line)
        before = self._matcher.taken
        self._hit = self._around = False
        news: list[Progress | Diagnosis] = list(self._read_title(given))
        for part in texts.split_feed(line):
            cleaned = texts.clean(part)
            session = self._log.session
            if not session.spoke or any(sign in part for sign in PROMPTS) or session.wants(part):
                session.feed(self._log.lines, cleaned)
            self._listings.feed(cleaned)
            if since := self._tests.feed(self._log.lines, cleaned):
                self._was_tested(since)
            self._log.restarts.feed(self._log.lines, cleaned)
            if since := self._units.feed(self._log.lines, cleaned):
                self._runs_since(since)
            if self._tests.shown or self._is_ignored(cleaned):
                self._matcher.feed(self._log.lines, "")
            else:
                news.extend(self._feed_part(cleaned, verdict))
        self._look_apart(line, verdict)
        if self._matcher.taken != before:
            self._prefilter.keep()
        self._again = self._again + 1 if given == self._same else 0
        self._same = given
        wanted = verdict.readers or self._hit or verdict.bulk or verdict.sounds_bad or self._around
        if wanted or news or self._matcher.expects or not self._prefilter.steady:
            self._again = 0
        return news

    def _read_title(self, line: str) -> list[Diagnosis]:
        """Return what the heading of a post tells, once ``line`` shows that it was one: a comment
        has no empty line below it. It proves something only where nothing else in the log does."""
        if self._log.lines == 2:
            self._headed = not line.strip()
        title, self._title = self._title, title_of(line) if self._log.lines == 1 else ""
        if not title or line.strip():
            return []
        hits = self._matcher.feed(1, title)
        if only_speaks_of(title):
            hits = [replace(hit, certain=False) for hit in hits]
        self._aside, aside = True, self._aside
        taken = [self._take(hit) for hit in hits]
        self._aside = aside
        return [one for one in taken if one is not None]

    def _look_apart(self, line: str, verdict: Verdict) -> None:
        """Take note of a failure outside of what stands aside, that nothing in the list knows."""
        if self._aside or self._hit:
            return
        if self._log.asides and verdict.sounds_bad:
            self._log.bad_apart |= weight_as_told(texts.clean(line)) >= _WEIGHTY
        head = line[:LONGEST_HEAD]
        if any(sign in head for sign in STOPS):
            self._log.installs.feed(self._log.lines, texts.strip_prefix(texts.clean(head)))

    def _answered(self, since: int) -> None:
        """Doubt what was read from line ``since``: a manual tells there what to do about it."""
        for name, hit in self._log.hits.items():
            if hit.line >= since:
                self._log.hits[name] = replace(hit, certain=False)

    def _was_tested(self, since: int) -> None:
        """Let go what a test printed from line ``since`` on: it passed."""
        self._log.hits = {name: hit for name, hit in self._log.hits.items() if hit.line < since}
        self._log.outcome.forget(since)

    def _runs_since(self, since: int) -> None:
        """Doubt what a unit said from line ``since`` on: it was started again, and runs."""
        for name, hit in self._log.hits.items():
            if hit.line >= since and self._units.says(hit.text):
                self._log.hits[name] = replace(hit, certain=False)
        self._log.outcome.forget(since)

    def _is_ignored(self, line: str) -> bool:
        """Tell whether a line belongs to an exception that Python only mentions."""
        if not self._ignored.inside and "xception ignored " not in line:
            return False
        return self._ignored.covers(texts.strip_prefix(line))

    def _feed_part(self, line: str, verdict: Verdict) -> list[Progress | Diagnosis]:
        self._log.go_on(line)
        # A command that a backslash breaks off goes on in the next line.
        if verdict.around or self._log.around.waits or line.endswith("\\"):
            bare = texts.fold(texts.strip_prefix(line))
            self._around |= self._log.around.feed(bare, doubted=self._doubted)
        if self._doubted:
            search = verdict.search or self._matcher.expects
            shown = not search or self._listings.shows(texts.strip_prefix(line))
            return [] if shown else [*self._search(line)]
        return self._feed_own(line, verdict)

    def _feed_own(self, line: str, verdict: Verdict) -> list[Progress | Diagnosis]:
        readers = verdict.readers
        search = verdict.search or self._matcher.expects
        waits = self._log.evidence.waits or self._log.scene.waits
        if not (readers or search or verdict.bulk or verdict.sounds_bad or waits):
            self._matcher.pass_over(self._log.lines, line)
            return []
        news: list[Progress | Diagnosis] = []
        bare = texts.strip_prefix(line)
        if verdict.bulk and texts.says_nothing(bare):
            return news
        if readers & EVIDENCE:
            self._log.steps.feed(bare)
        progress = self._log.progress.feed(bare) if readers & PROGRESS else None
        if progress is not None:
            news.append(progress)
            drawn = progress.done is not None and progress.total is not None
            if drawn and progress.done != progress.total and "nan" not in bare:
                # A bar on its way: nothing else is in it, but what a program that dies prints.
                line = bare = texts.behind_bar(bare)
                if not bare:
                    return news
        folded = texts.fold(bare)
        if readers & OBSERVED:
            self._log.observed.feed(folded)
        if readers & SCENE or self._log.scene.waits:
            self._log.scene.feed(folded)
        if not folded or self._listings.shows(bare):
            self._matcher.feed(self._log.lines, "")
            return news
        if readers & OUTCOME:
            self._log.outcome.feed(self._log.lines, bare)
        if readers & EVIDENCE or verdict.sounds_bad or waits:
            self._log.evidence.feed(self._log.lines, bare, folded)
            if self._log.evidence.tracebacks.named == self._log.lines:
                self._log.outcome.fail(self._log.lines, self._log.outcome.stage or "", bare)
        if search:
            news.extend(self._search(line))
        else:
            self._matcher.pass_over(self._log.lines, line)
        return news

    def _search(self, line: str) -> list[Diagnosis]:
        """Return the new findings that a line shows, each fact once."""
        hits = self._matcher.feed(self._log.lines, line)
        self._hit = self._hit or bool(hits)
        if hits and (self._doubted or self._manual.inside or is_doubtful(line)):
            hits = [replace(hit, certain=False) for hit in hits]
        elif self._doubtful:
            begun = self._doubtful
            hits = [replace(one, certain=False) if one.line in begun else one for one in hits]
        taken = [self._take(hit) for hit in hits]
        sure = [name for name, hit in self._log.hits.items() if hit.certain]
        return [one for one in taken if one is not None and not told_already(one.id, sure)]

    def _take(self, hit: Hit) -> Diagnosis | None:
        """Keep a hit; return it as a finding when it is new."""
        if hit.withdrawn:
            kept = self._log.hits.get(hit.entry.id)
            if kept is not None and kept.line >= hit.line:
                del self._log.hits[hit.entry.id]
                self._log.outcome.take_back(kept.line)
            return None
        if not rules.holds(hit.entry.rule, hit.captured, self._log.observed, self._log.asked):
            return None
        entry = hit.entry
        if self._log.evidence.proof(hit) == "no":
            return None
        proof = self._log.proof(hit)
        if entry.severity == "fatal" and proof == "yes":
            self._log.outcome.fail(hit.line, entry.stage, hit.text)
        self._log.last[entry.id] = max(hit.line, self._log.last.get(entry.id, 0))
        for name, value in hit.captured.items():
            if name in kinds.PROPOSED:
                self._log.propose(name, hit.line, value)
            elif name not in kinds.OWN:
                self._log.context.setdefault(name, value)
            if name in kinds.LISTED:
                self._log.listed.setdefault((entry.id, name), {})[value] = None
        kept = self._log.hits.get(entry.id)
        # What the failure itself shows is better quoted than what stands above or beside it.
        headed = kept is not None and kept.line == 1 and self._headed
        shown = hit.certain and not self._aside and (headed or entry.id in self._log.asides)
        if not self._aside:
            self._log.asides.discard(entry.id)
        elif kept is None:
            self._log.asides.add(entry.id)
        if kept is not None and not (shown or self._replaces(hit, kept)):
            return None
        self._log.hits[entry.id] = hit
        # What it wants beside it may come later.
        return self._log.finding(hit) if proof != "no" else None

    def _replaces(self, hit: Hit, kept: Hit) -> bool:
        """Tell whether a later hit of an entry says more than the one that is kept."""
        if not hit.certain or not kept.certain:
            return hit.certain
        again = self._log.session.again(kept.line, network=kinds.is_of_one_network(kept.entry))
        if again is not None and hit.line >= again[0]:
            return True
        # What is plain was only mentioned there; here a program stopped at it.
        traces = self._log.evidence.tracebacks
        other = "*" in hit.entry.yields_to and hit.captured != kept.captured
        if other and kept.line < self._log.turn <= hit.line:
            # Somebody says in between that it is another one now.
            return True
        return other and bool(traces.inner_at(hit.line)) and not traces.inner_at(kept.line)

    def begin_file(self, name: str | None) -> None:
        """Start the next file of the same story; lines are counted from 1 again."""
        self._log.places.begin(name, read=self._log.lines)

    def notable(self, most: int = 3) -> list[tuple[int, str | None, str]]:
        """Return line, file and words of what is most likely to matter, worst first."""
        return [
            (*self._log.places.where(number), text)
            for number, text in self._log.evidence.notable.ranked(most)
        ]

    def findings(self) -> list[Diagnosis]:
        """Return what the whole log shows: worst first, umbrellas only where nothing is specific.

        A failure that the same run got over is kept as ``info`` and ``recovered``.
        """
        return Judgement(self._log).findings()

    def ran(self) -> Ran:
        """Return what really ran, as far as the log tells."""
        return Judgement(self._log).ran()

    def unexplained(self, last: str) -> Diagnosis:
        """Return the finding for a failure that nothing in the list explains; ``last`` are words
        for it where the log has none."""
        return Judgement(self._log).unexplained(last)


def read_log(
    lines: Iterable[str],
    *,
    asked: Asked | None = None,
    context: Mapping[str, str] | None = None,
    file: str | None = None,
) -> VendorLog:
    """Feed an iterable of lines to a new :class:`VendorLog` and return it."""
    log = VendorLog(asked=asked, context=context, file=file)
    read_whole(lines, log.feed)
    return log
