"""Reads the log of the vendor's tools as it grows: progress, findings, and what really ran.

Written for lines that nobody has seen yet. What is not understood passes through; a new
version of the tools never breaks a build because its prints changed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.diagnose import kinds, ranking, rules
from orchestrator.diagnose import text as texts
from orchestrator.diagnose.evidence import Evidence, weight
from orchestrator.diagnose.finding import Asked, Diagnosis, Progress, Ran
from orchestrator.diagnose.installs import STOPS, Installs
from orchestrator.diagnose.listings import Listings
from orchestrator.diagnose.matcher import Hit, Matcher
from orchestrator.diagnose.observed import Observed
from orchestrator.diagnose.outcome import OutcomeReader
from orchestrator.diagnose.pasted import Pasted
from orchestrator.diagnose.places import Places
from orchestrator.diagnose.prefilter import (
    EVIDENCE,
    OBSERVED,
    OUTCOME,
    PROGRESS,
    SCENE,
    SURROUNDINGS,
    load_prefilter,
)
from orchestrator.diagnose.programs import STAGES
from orchestrator.diagnose.progress import ProgressReader, Steps
from orchestrator.diagnose.ranking import ASIDE, GONE, KEPT_OUT
from orchestrator.diagnose.repeats import once, told_already
from orchestrator.diagnose.restarts import Restarts
from orchestrator.diagnose.scene import Scene
from orchestrator.diagnose.session import Session
from orchestrator.diagnose.surroundings import Surroundings, deepened
from orchestrator.diagnose.survived import not_to_be_had, of_other_formats, package_meant
from orchestrator.diagnose.symptoms import Symptoms
from orchestrator.diagnose.tested import Tests
from orchestrator.diagnose.told import (
    Manual,
    as_it_is_now,
    heads_aside,
    is_doubtful,
    moved_on,
    only_speaks_of,
    title_of,
)
from orchestrator.diagnose.tracebacks import CALM, Ignored
from orchestrator.diagnose.units import Units
from orchestrator.diagnose.whole import read_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchestrator.diagnose.prefilter import Prefilter, Verdict
    from orchestrator.diagnose.programs import Support


#: What a prompt must hold.
PROMPTS = ("$", "#", "%", ">", "\u276f", "\u279c")
#: What an installer says of its end stands at the beginning of a line.
LONGEST_HEAD = 1000
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
        self.asked = asked or Asked()
        self._context: dict[str, str] = dict(context or {})
        self._pasted = Pasted()
        self._session = Session()
        self._listings = Listings()
        self._manual = Manual()
        self._tests = Tests()
        self._installs = Installs()
        self._units = Units()
        self._restarts = Restarts()
        self._matcher = Matcher()
        self._prefilter = prefilter or load_prefilter().anew()
        self._progress = ProgressReader()
        self._observed = Observed()
        self._outcome = OutcomeReader(self._session.elsewhere)
        self._scene = Scene()
        self._around = Surroundings()
        self._steps = Steps()
        self._evidence = Evidence()
        self._ignored = Ignored()
        self._places = Places(file)
        #: The line that is read proves nothing: somebody only supposes it, or quotes it.
        self._doubted = False
        self._hits: dict[str, Hit] = {}
        self._last: dict[str, int] = {}
        self._listed: dict[tuple[str, str], dict[str, None]] = {}
        self._lines = 0
        #: The last line in which somebody says that another failure follows, else 0.
        self._turn = 0
        #: The part of a report that is being read stands beside its failure; entries shown there.
        self._aside = False
        self._asides: set[str] = set()
        #: Outside of it a line tells of a failure that nothing in the list knows.
        self._bad_apart = False
        #: The first line, where it may be the heading of a post.
        self._title = ""
        #: The last line and how often it came in a row, while it told nothing.
        self._same, self._again = "", 0
        #: Whether the line that is read showed something of the list, alone or with those before.
        self._hit = False
        if self.asked.images is not None:
            self._observed.images_given = self.asked.images

    def feed(
        self, line: str, *, doubted: bool = False, more: int = 0, inner: bool = False
    ) -> list[Progress | Diagnosis]:
        """Take in one line; return the progress and the new findings that it shows.

        A ``doubted`` one proves nothing. ``more`` lines below it were taken into it, and an
        ``inner`` one stood in the same line as the one before."""
        # Drawings of one bar share the number of the line that they are drawn on.
        self._lines += 1
        if inner:
            self._places.join(self._lines)
        self._doubted = doubted
        news = self._feed_line(line)
        self._lines += more
        return news

    def _feed_line(self, line: str) -> list[Progress | Diagnosis]:
        if line == self._same and self._again > STEADY:
            # It showed nothing, alone or with those before; so it is once more.
            self._matcher.pass_over(self._lines, line)
            return []
        if self._evidence.tracebacks.caught and CALM.match(line):
            self._evidence.tracebacks.calm()
        if ago := self._manual.feed(line):
            self._answered(self._lines - ago)
        given, line = line, self._pasted.as_printed(line)
        if line.endswith("\r") and "\r" not in line[:-1]:
            line = line[:-1]
        verdict = self._prefilter.judge(line, told=self._outcome.took_note)
        if moved_on(line):
            self._turn = self._lines
        aside = heads_aside(line)
        self._aside = self._aside if aside is None else aside
        if verdict.search or verdict.sounds_bad:
            line = as_it_is_now(line)
        before = self._matcher.taken
        self._hit = False
        news: list[Progress | Diagnosis] = list(self._read_title(given))
        for part in texts.split_feed(line):
            cleaned = texts.clean(part)
            if not self._session.spoke or any(sign in part for sign in PROMPTS):
                self._session.feed(self._lines, texts.strip_prefix(cleaned))
            self._listings.feed(cleaned)
            if since := self._tests.feed(self._lines, cleaned):
                self._was_tested(since)
            self._restarts.feed(self._lines, cleaned)
            if since := self._units.feed(self._lines, cleaned):
                self._runs_since(since)
            if self._tests.shown or self._is_ignored(cleaned):
                self._matcher.feed(self._lines, "")
            else:
                news.extend(self._feed_part(cleaned, verdict))
        self._look_apart(line, verdict)
        if self._matcher.taken != before:
            self._prefilter.keep()
        self._again = self._again + 1 if given == self._same else 0
        self._same = given
        wanted = verdict.readers or self._hit or verdict.bulk or verdict.sounds_bad
        if wanted or news or self._matcher.expects or not self._prefilter.steady:
            self._again = 0
        return news

    def _read_title(self, line: str) -> list[Diagnosis]:
        """Return what the heading of a post tells, once ``line`` shows that it was one: a comment
        has no empty line below it. It proves something only where nothing else in the log does."""
        title, self._title = self._title, title_of(line) if self._lines == 1 else ""
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
        if self._asides and verdict.sounds_bad:
            self._bad_apart |= weight(texts.clean(line)) >= _WEIGHTY
        head = line[:LONGEST_HEAD]
        if any(sign in head for sign in STOPS):
            self._installs.feed(self._lines, texts.strip_prefix(texts.clean(head)))

    def _answered(self, since: int) -> None:
        """Doubt what was read from line ``since``: a manual tells there what to do about it."""
        for name, hit in self._hits.items():
            if hit.line >= since:
                self._hits[name] = replace(hit, certain=False)

    def _was_tested(self, since: int) -> None:
        """Let go what a test printed from line ``since`` on: it passed."""
        self._hits = {name: hit for name, hit in self._hits.items() if hit.line < since}
        self._outcome.forget(since)

    def _runs_since(self, since: int) -> None:
        """Doubt what a unit said from line ``since`` on: it was started again, and runs."""
        for name, hit in self._hits.items():
            if hit.line >= since and self._units.says(hit.text):
                self._hits[name] = replace(hit, certain=False)
        self._outcome.forget(since)

    def _is_ignored(self, line: str) -> bool:
        """Tell whether a line belongs to an exception that Python only mentions."""
        if not self._ignored.inside and "xception ignored " not in line:
            return False
        return self._ignored.covers(texts.strip_prefix(line))

    def _feed_part(self, line: str, verdict: Verdict) -> list[Progress | Diagnosis]:
        # A command that a backslash breaks off goes on in the next line.
        if verdict.readers & SURROUNDINGS or self._around.waits or line.endswith("\\"):
            self._around.feed(texts.fold(texts.strip_prefix(line)), doubted=self._doubted)
        if self._doubted:
            search = verdict.search or self._matcher.expects
            shown = not search or self._listings.shows(texts.strip_prefix(line))
            return [] if shown else [*self._search(line)]
        return self._feed_own(line, verdict)

    def _feed_own(self, line: str, verdict: Verdict) -> list[Progress | Diagnosis]:
        readers = verdict.readers
        search = verdict.search or self._matcher.expects
        waits = self._evidence.waits
        if not (readers or search or verdict.bulk or verdict.sounds_bad or waits):
            self._matcher.pass_over(self._lines, line)
            return []
        news: list[Progress | Diagnosis] = []
        bare = texts.strip_prefix(line)
        if verdict.bulk and texts.says_nothing(bare):
            return news
        if readers & EVIDENCE:
            self._steps.feed(bare)
        progress = self._progress.feed(bare) if readers & PROGRESS else None
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
            self._observed.feed(folded)
        if readers & SCENE:
            self._scene.feed(folded)
        if not folded or self._listings.shows(bare):
            self._matcher.feed(self._lines, "")
            return news
        if readers & OUTCOME:
            self._outcome.feed(self._lines, bare)
        if readers & EVIDENCE or verdict.sounds_bad or waits:
            self._evidence.feed(self._lines, bare, folded)
            if self._evidence.tracebacks.named == self._lines:
                self._outcome.fail(self._lines, self._outcome.stage or "", bare)
        if search:
            news.extend(self._search(line))
        else:
            self._matcher.pass_over(self._lines, line)
        return news

    def _search(self, line: str) -> list[Diagnosis]:
        """Return the new findings that a line shows, each fact once."""
        hits = self._matcher.feed(self._lines, line)
        self._hit = self._hit or bool(hits)
        if hits and (self._doubted or self._manual.inside or is_doubtful(line)):
            hits = [replace(hit, certain=False) for hit in hits]
        taken = [self._take(hit) for hit in hits]
        return [one for one in taken if one is not None and not told_already(one.id, self._hits)]

    def _take(self, hit: Hit) -> Diagnosis | None:
        """Keep a hit; return it as a finding when it is new."""
        if hit.withdrawn:
            kept = self._hits.get(hit.entry.id)
            if kept is not None and kept.line >= hit.line:
                del self._hits[hit.entry.id]
                self._outcome.take_back(kept.line)
            return None
        if not rules.holds(hit.entry.rule, hit.captured, self._observed, self.asked):
            return None
        entry = hit.entry
        if self._evidence.proof(hit) == "no":
            return None
        proof = self._proof(hit)
        if entry.severity == "fatal" and proof == "yes":
            self._outcome.fail(hit.line, entry.stage, hit.text)
        self._last[entry.id] = max(hit.line, self._last.get(entry.id, 0))
        for name, value in hit.captured.items():
            if name not in kinds.OWN:
                self._context.setdefault(name, value)
            if name in kinds.LISTED:
                self._listed.setdefault((entry.id, name), {})[value] = None
        kept = self._hits.get(entry.id)
        if not self._aside:
            self._asides.discard(entry.id)
        elif kept is None:
            self._asides.add(entry.id)
        if kept is not None and not self._replaces(hit, kept):
            return None
        self._hits[entry.id] = hit
        # What it wants beside it may come later.
        return self._finding(hit) if proof != "no" else None

    def _replaces(self, hit: Hit, kept: Hit) -> bool:
        """Tell whether a later hit of an entry says more than the one that is kept."""
        if not hit.certain or not kept.certain:
            return hit.certain
        again = self._session.again(kept.line, network=kinds.is_of_one_network(kept.entry))
        if again is not None and hit.line >= again[0]:
            return True
        # What is plain was only mentioned there; here a program stopped at it.
        traces = self._evidence.tracebacks
        other = "*" in hit.entry.yields_to and hit.captured != kept.captured
        if other and kept.line < self._turn <= hit.line:
            # Somebody says in between that it is another one now.
            return True
        return other and bool(traces.inner_at(hit.line)) and not traces.inner_at(kept.line)

    def _finding(self, hit: Hit) -> Diagnosis:
        words = rules.words(self._observed, self.asked) | self._context | dict(hit.captured)
        words |= self._around.captured(hit.entry)
        words |= rules.status_words(hit.captured) | rules.address_words(hit.captured)
        for (name, group), values in self._listed.items():
            if name == hit.entry.id:
                words[group] = ", ".join(list(values)[: kinds.MOST_LISTED])
        if device := hit.captured.get("device"):
            # HailoRT shouts; recipes and compilers write it small.
            words["chip"] = device.lower()
        if hit.entry.id in ranking.CLOSES:
            known = frozenset(one.line for one in self._hits.values())
            if said := self._evidence.before(hit.line, known):
                words["before"] = said
        line, file = self._places.where(hit.line)
        found = rules.fill(hit.entry, words, line=line, text=hit.text, file=file)
        if self._proof(hit) == "yes":
            return found
        return ranking.possible(found, found.confirm)

    def begin_file(self, name: str | None) -> None:
        """Start the next file of the same story; lines are counted from 1 again."""
        self._places.begin(name, read=self._lines)

    def _proof(self, hit: Hit) -> Support:
        """Tell whether ``hit`` proves its cause, by its words, where they stand and what else the
        log shows."""
        shown = self._around.shown(hit.entry)
        proof = "no" if shown == "no" else self._evidence.proof(hit)
        return "open" if proof == "yes" and shown == "doubted" else proof

    def _deepened(self, hits: Mapping[str, Hit]) -> dict[str, Hit]:
        """Return the entries that say more than one of ``hits``, by what else the log shows: as
        hits of its line."""
        found = {}
        for entry in deepened():
            general = [hits[name] for name in entry.over if name in hits]
            if general and self._around.shown(entry) != "no":
                first = min(general, key=lambda hit: (self._proof(hit) != "yes", hit.line))
                certain = self._proof(first) == "yes"
                captured = dict(first.captured) | self._around.captured(entry)
                found[entry.id] = replace(first, entry=entry, captured=captured, certain=certain)
        return found

    def _still_holds(self, hit: Hit) -> bool:
        """Ask again: how many images were given may be known only later."""
        return rules.holds(hit.entry.rule, hit.captured, self._observed, self.asked)

    def unexplained(self, last: str) -> Diagnosis:
        """Return the finding for a failure that nothing in the list explains."""
        number, text = self._evidence.decisive or self._outcome.failed_at
        line, file = self._places.where(number) if number else (None, self._places.file)
        ran = self.ran()
        return rules.unexplained(
            line, text or last, file, step=ran.step or "", stage=ran.stage or ""
        )

    def notable(self, most: int = 3) -> list[tuple[int, str | None, str]]:
        """Return line, file and words of what is most likely to matter, worst first."""
        return [
            (*self._places.where(number), text) for number, text in self._evidence.notable(most)
        ]

    def ran(self) -> Ran:
        """Return what really ran, as far as the log tells."""
        stage = self._outcome.stage
        if stage is None and self._progress.stage != "start":
            stage = self._progress.stage
        if stage is None:
            proven = (one for one in self._hits.values() if self._proof(one) == "yes")
            stage = next((one.entry.stage for one in proven if one.entry.severity == "fatal"), None)
        if stage is None:
            shown = {STAGES[name] for name in self._evidence.programs if name in STAGES}
            stage = shown.pop() if len(shown) == 1 else None
        outcome = self._outcome.outcome
        at, _ = self._outcome.failed_at
        if outcome == "failed" and at:
            mended = any(
                hit.line <= at == self._last[name]
                and self._outcome.recovered(at, "", name, package_meant(name, hit.captured))
                for name, hit in self._hits.items()
            )
            if mended or self._evidence.tracebacks.lived_on(at) or self._runs_again(at):
                outcome = "unknown"
            again = self._session.again(at, network=True)
            if again is not None and self._outcome.went_well(*again):
                outcome = "ok"
        return replace(
            self._observed.ran(outcome, stage),
            step=self._steps.name,
            step_done=self._steps.done,
        )

    def findings(self) -> list[Diagnosis]:
        """Return what the whole log shows: worst first, umbrellas only where nothing is specific.

        A failure that the same run got over is kept as ``info`` and ``recovered``.
        """
        hits = {
            name: hit
            for name, hit in self._hits.items()
            if self._still_holds(hit) and self._proof(hit) != "no"
        }
        failed = self._outcome.outcome == "failed"
        gone = self._taken_away(hits)
        restarted = {name for name in hits if self._runs_again(self._last[name])}
        tried_again = restarted | self._tried_again(
            {n: hit for n, hit in hits.items() if n not in gone}
        )
        over = {
            name
            for name, hit in hits.items()
            if name in tried_again
            or self._outcome.recovered(
                self._last[name],
                hit.entry.stage,
                name,
                package_meant(name, hit.captured),
                self._session.of_another if kinds.is_of_one_network(hit.entry) else None,
                self._session.elsewhere,
            )
            or (kinds.is_plain(hit.entry) and self._evidence.tracebacks.lived_on(self._last[name]))
            # The log goes on after the warning, so that the program did.
            or (hit.warned and not failed and self._last[name] + 1 < self._lines)
        }
        if "B06" in over:  # What pip left out is of the same package.
            over |= {"B700"} & hits.keys()
        found = [ranking.soften(self._finding(hit), name in over) for name, hit in hits.items()]
        found = [ranking.possible(one, GONE) if one.id in gone else one for one in found]
        sure = [(name, hit) for name, hit in hits.items() if self._proof(hit) == "yes"]
        none = not_to_be_had({name: (hit.line, hit.captured) for name, hit in sure})
        found = [ranking.possible(one, KEPT_OUT) if one.id in none else one for one in found]
        if self._bad_apart or any(
            one.severity == "fatal" and one.id not in self._asides for one in found
        ):
            found = [
                ranking.possible(one, ASIDE) if one.id in self._asides else one for one in found
            ]
        # A warning stays one where the run went on: only a failure can be got over.
        past = {n for n in over if hits[n].entry.severity in {"fatal", "possible"}}
        deeper = self._deepened({n: hit for n, hit in hits.items() if n not in past | gone})
        found.extend(self._finding(hit) for hit in deeper.values())
        counted = set(hits) - (over & ranking.OF_A_FAILURE)
        computed = rules.computed(self._observed, self.asked, self._scene, counted)
        found.extend(one for one in computed if not (one.id in kinds.OF_A_START and restarted))
        if not self._places.several:
            symptoms = Symptoms(self._evidence.tracebacks, self._session, self._installs)
            found = symptoms.doubt(found, self._failures(), self._last)
        found = ranking.shade(
            once(found),
            {name: hit.entry for name, hit in (self._hits | deeper).items()},
            self._apart,
        )
        at, _ = self._outcome.failed_at
        failed = failed and not any(
            hits[name].line <= (at or 0) <= self._last[name] for name in over
        )
        # What is only a warning may be the very line that the log calls an error.
        told = any(
            hit.entry.severity == "warn" and at in {hit.line, self._last[name]}
            for name, hit in hits.items()
        )
        if failed and not told and not any(one.severity in {"fatal", "possible"} for one in found):
            found.append(self.unexplained(""))
        return sorted(found, key=ranking.rank)

    def _failures(self) -> list[Hit]:
        """Return what tells of a failure, proven or possible."""
        return [
            hit
            for hit in self._hits.values()
            if hit.entry.severity in {"fatal", "possible"} and self._proof(hit) != "no"
        ]

    def _runs_again(self, number: int) -> bool:
        """Tell whether a supervisor started again what said line ``number``, and it runs well."""
        lines = [hit.line for hit in self._hits.values() if self._proof(hit) == "yes"]
        return self._restarts.runs_since(number, [*lines, *self._last.values()])

    def _apart(self, first: str, second: str) -> bool:
        """Tell whether the failure of the entry ``second`` needs none of ``first``'s."""
        one, two = self._hits.get(first), self._hits.get(second)
        if one is None or two is None or one.line == two.line:
            return False
        if of_other_formats(one.text, two.text):
            return True
        if one.line > two.line:
            return False
        if kinds.is_of_one_network(one.entry) and self._session.of_another(one.line, two.line):
            return True
        return self._session.apart(one.line, two.line)

    def _tried_again(self, hits: Mapping[str, Hit]) -> set[str]:
        """Return the entries of attempts that are over: the same command ran again since, and
        went well by its own words or failed for a reason that is proven, too; or somebody says
        that another failure came then, and it is proven."""
        proven = [
            hit.line
            for hit in hits.values()
            if hit.entry.severity == "fatal" and self._proof(hit) == "yes"
        ]
        over = set()
        turn = self._turn if any(line > self._turn for line in proven) else 0
        for name, hit in hits.items():
            if self._last[name] < turn:
                over.add(name)
            again = self._session.again(hit.line, network=kinds.is_of_one_network(hit.entry))
            if again is None:
                continue
            if self._outcome.went_well(*again) or any(
                again[0] <= line <= again[1] for line in proven
            ):
                over.add(name)
        return over

    def _taken_away(self, hits: Mapping[str, Hit]) -> set[str]:
        """Return the entries that miss a package whose own code ran, and failed, before: somebody
        took it away in between, and asks about the failure before that."""
        gone = set()
        for name, hit in hits.items():
            ran = self._evidence.tracebacks.loaded.get(hit.captured.get("module", "").lower())
            if ran is not None and ran < hit.line:
                raised = self._evidence.tracebacks.raised_at(ran)
                if any(one.line == raised for other, one in hits.items() if other != name):
                    gone.add(name)
        return gone


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
