"""Makes sense of what was read of a log: what failed, what was got over, what follows from what."""

from __future__ import annotations

from collections import ChainMap
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.diagnose import kinds, ranking, rules
from orchestrator.diagnose.catalogue import having
from orchestrator.diagnose.programs import STAGES
from orchestrator.diagnose.ranking import ASIDE, GONE, KEPT_OUT, STARTED_SINCE
from orchestrator.diagnose.standing import Standing
from orchestrator.diagnose.surroundings import deepened
from orchestrator.diagnose.survived import not_to_be_had, of_other_formats, package_meant
from orchestrator.diagnose.symptoms import Symptoms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.diagnose.finding import Diagnosis, Ran
    from orchestrator.diagnose.matcher import Hit
    from orchestrator.diagnose.record import Record


@dataclass(frozen=True)
class Judgement:
    """What a log says as a whole, as far as it was read."""

    _log: Record

    def findings(self) -> list[Diagnosis]:
        """Return what the log shows, as :meth:`VendorLog.findings` tells it."""
        log = self._log
        hits = {
            name: hit
            for name, hit in log.hits.items()
            if log.still_holds(hit) and log.proof(hit) != "no"
        }
        gone = self._taken_away(hits)
        restarted = {name for name in hits if self._runs_again(log.last[name])}
        over = self._got_over(hits, gone) | restarted
        if "B06" in over:  # What pip left out is of the same package.
            over |= {"B700"} & hits.keys()
        if log.questions.only_asks:
            # What people's own words bring up needs somebody who complains.
            hits = {
                n: hit
                for n, hit in hits.items()
                if hit.entry.match or "answers" in hit.entry.traits
            }
        idle = ranking.idle_since([log.finding(hits[name]) for name in over if name in hits])
        found = [
            ranking.soften(log.finding(hit), name in over)
            for name, hit in hits.items()
            if name not in idle
        ]
        found = self._doubted(found, hits, gone)
        # A warning stays one where the run went on: only a failure can be got over.
        past = {n for n in over if hits[n].entry.severity in {"fatal", "possible"}}
        deeper = self._deepened({n: hit for n, hit in hits.items() if n not in past | gone})
        found.extend(log.finding(hit) for hit in deeper.values())
        counted = set(hits) - (over & having("of-a-failure"))
        computed = rules.computed(log.observed, log.asked, log.scene, counted)
        found.extend(one for one in computed if not (one.id in having("of-a-start") and restarted))
        if not log.places.several:
            symptoms = Symptoms(log.evidence.tracebacks, log.session, log.installs)
            found = symptoms.doubt(found, log.failures(), log.last)
        if not log.observed.began_to_optimize and self._ended_before(found):
            # That no GPU was chosen costs nothing where nothing was optimised.
            found = [one for one in found if one.id not in having("optimizing")]
        found = Standing((log.hits | deeper).keys(), self._apart).of(found)
        if log.outcome.outcome == "failed" and log.asked.images is None:
            # A run that failed has no worse result: the SDK's own number of images is no reason.
            given = log.observed.images_given
            found = [one for one in found if one.id != "C05" or given is not None]
        if self._wants_a_reason(hits, over, found):
            found.append(self.unexplained(""))
        return sorted(found, key=ranking.rank)

    def _got_over(self, hits: Mapping[str, Hit], gone: set[str]) -> set[str]:
        """Return the entries of failures that the run got over."""
        log = self._log
        tried_again = self._tried_again({n: hit for n, hit in hits.items() if n not in gone})
        failed = log.outcome.outcome == "failed"
        over = {
            name
            for name, hit in hits.items()
            if name in tried_again
            or log.outcome.recovered(
                log.last[name],
                hit.entry.stage,
                hit.entry.ended_by,
                package_meant(hit.entry, hit.captured),
                log.session.of_another if kinds.is_of_one_network(hit.entry) else None,
                log.session.elsewhere,
            )
            or (kinds.is_plain(hit.entry) and log.evidence.tracebacks.lived_on(log.last[name]))
            # The log goes on after the warning, so that the program did.
            or (hit.warned and not failed and log.last[name] + 1 < log.lines)
        }
        # What HailoRT says of a failure goes the way of what the list knows of that line.
        lines = {log.last[name] for name in over}
        return over | {n for n in hits.keys() & having("says-why") if log.last[n] in lines}

    def _doubted(
        self, found: Sequence[Diagnosis], hits: Mapping[str, Hit], gone: set[str]
    ) -> list[Diagnosis]:
        """Return ``found`` with those as possible that are not what is asked about: what is in
        ``gone``, what cannot be installed at all, what stands beside the failure."""
        log = self._log
        sure = [hit for hit in hits.values() if log.proof(hit) == "yes"]
        kept_out = not_to_be_had([(hit.entry, hit.line, hit.captured) for hit in sure])
        found = [ranking.possible(one, GONE) if one.id in gone else one for one in found]
        found = [ranking.possible(one, KEPT_OUT) if one.id in kept_out else one for one in found]
        before = {n for n in having("until-restart") if log.last.get(n, log.started) < log.started}
        found = [ranking.possible(x, STARTED_SINCE) if x.id in before else x for x in found]
        if log.bad_apart or any(
            one.severity == "fatal" and one.id not in log.asides for one in found
        ):
            return [ranking.possible(one, ASIDE) if one.id in log.asides else one for one in found]
        return found

    def _ended_before(self, found: Sequence[Diagnosis]) -> bool:
        """Tell whether the log ends before the optimisation: well, or with a failure."""
        steps = {one.stage for one in found if one.severity == "fatal"}
        parsed = self._log.progress.stage == "parse" and self._log.outcome.outcome == "ok"
        return parsed or bool(steps & {"docker", "setup", "parse"})

    def _wants_a_reason(
        self, hits: Mapping[str, Hit], over: set[str], found: Sequence[Diagnosis]
    ) -> bool:
        """Tell whether the run failed, and nothing in ``found`` says why."""
        log = self._log
        at, _ = log.outcome.failed_at
        # What is over, and what a later line refutes, is no failure that is left.
        # General words that do not apply here refute nothing.
        ended = over | {
            name
            for name, hit in log.hits.items()
            if hit.certain and not hit.entry.umbrella and log.proof(hit) == "no"
        }
        if log.outcome.outcome != "failed" or any(self._is_of(name, at or 0) for name in ended):
            return False
        # What is only a warning may be the very line that the log calls an error.
        told = any(
            hit.entry.severity == "warn" and at in {hit.line, log.last[name]}
            for name, hit in hits.items()
        )
        return not told and not any(one.severity in {"fatal", "possible"} for one in found)

    def _is_of(self, name: str, at: int) -> bool:
        """Tell whether a failure in line ``at`` is what the entry ``name`` tells of: HailoRT's log
        goes on to say of each function that it failed, too."""
        last = self._log.last[name]
        if at <= last:
            return self._log.hits[name].line <= at
        return self._log.session.same_logged(last, at)

    def ran(self) -> Ran:
        """Return what really ran, as far as the log tells."""
        stage = self._log.outcome.stage
        if stage is None and self._log.progress.stage != "start":
            stage = self._log.progress.stage
        if stage is None:
            proven = (one for one in self._log.hits.values() if self._log.proof(one) == "yes")
            stage = next((one.entry.stage for one in proven if one.entry.severity == "fatal"), None)
        if stage is None:
            shown = {STAGES[name] for name in self._log.evidence.programs if name in STAGES}
            stage = shown.pop() if len(shown) == 1 else None
        outcome = self._log.outcome.outcome
        at, _ = self._log.outcome.failed_at
        if outcome == "failed" and at:
            mended = any(
                at >= self._log.last[name]
                and self._is_of(name, at)
                and self._log.outcome.recovered(
                    at, "", hit.entry.ended_by, package_meant(hit.entry, hit.captured)
                )
                for name, hit in self._log.hits.items()
            )
            if mended or self._log.evidence.tracebacks.lived_on(at) or self._runs_again(at):
                outcome = "unknown"
            again = self._log.session.again(at, network=True)
            if again is not None and self._log.outcome.went_well(*again):
                outcome = "ok"
        return replace(
            self._log.observed.ran(outcome, stage),
            step=self._log.steps.name,
            step_done=self._log.steps.done,
            stopped=outcome != "ok" and self._log.outcome.stopped,
        )

    def unexplained(self, last: str) -> Diagnosis:
        """Return the finding for a failure that nothing in the list explains."""
        number, text = self._log.evidence.decisive or self._log.outcome.failed_at
        if number and text:
            number, text = self._log.evidence.behind(number, text)
        line, file = self._log.places.where(number) if number else (None, self._log.places.file)
        ran = self.ran()
        return rules.unexplained(
            line, text or last, file, step=ran.step or "", stage=ran.stage or ""
        )

    def _deepened(self, hits: Mapping[str, Hit]) -> dict[str, Hit]:
        """Return the entries that say more than one of ``hits``, by what else the log shows: as
        hits of its line."""
        found = {}
        for entry in deepened():
            general = [hits[name] for name in entry.over if name in hits]
            if general and self._log.around.shown(entry) != "no":
                first = min(general, key=lambda hit: (self._log.proof(hit) != "yes", hit.line))
                proven = [dict(hit.captured) for hit in general if self._log.proof(hit) == "yes"]
                captured = dict(ChainMap(dict(first.captured), *proven))
                captured |= self._log.around.captured(entry)
                if not rules.holds(entry.rule, captured, self._log.observed, self._log.asked):
                    continue
                certain = self._log.proof(first) == "yes"
                found[entry.id] = replace(first, entry=entry, captured=captured, certain=certain)
        return found

    def _runs_again(self, number: int) -> bool:
        """Tell whether a supervisor started again what said line ``number``, and it runs well."""
        lines = [hit.line for hit in self._log.hits.values() if self._log.proof(hit) == "yes"]
        return self._log.restarts.runs_since(number, [*lines, *self._log.last.values()])

    def _apart(self, first: str, second: str) -> bool:
        """Tell whether the failure of the entry ``second`` needs none of ``first``'s."""
        one, two = self._log.hits.get(first), self._log.hits.get(second)
        if one is None or two is None or one.line == two.line:
            return False
        if of_other_formats(one.text, two.text):
            return True
        if one.line > two.line:
            return False
        if kinds.is_of_one_network(one.entry) and self._log.session.of_another(one.line, two.line):
            return True
        return self._log.session.apart(one.line, two.line)

    def _tried_again(self, hits: Mapping[str, Hit]) -> set[str]:
        """Return the entries of attempts that are over: the same command ran again since, and
        went well by its own words or failed for a reason that is proven, too; or somebody says
        that another failure came then, and it is proven."""
        proven = [
            hit.line
            for hit in hits.values()
            if hit.entry.severity == "fatal" and self._log.proof(hit) == "yes"
        ]
        over = set()
        turn = self._log.turn if any(line > self._log.turn for line in proven) else 0
        for name, hit in hits.items():
            if self._log.last[name] < turn:
                over.add(name)
            again = self._log.session.again(hit.line, network=kinds.is_of_one_network(hit.entry))
            if again is None:
                continue
            if self._log.outcome.went_well(*again) or any(
                again[0] <= line <= again[1] for line in proven
            ):
                over.add(name)
        return over

    def _taken_away(self, hits: Mapping[str, Hit]) -> set[str]:
        """Return the entries that miss a package whose own code ran, and failed, before: somebody
        took it away in between, and asks about the failure before that."""
        gone = set()
        for name, hit in hits.items():
            ran = self._log.evidence.tracebacks.loaded.get(hit.captured.get("module", "").lower())
            if ran is not None and ran < hit.line:
                raised = self._log.evidence.tracebacks.raised_at(ran)
                if any(one.line == raised for other, one in hits.items() if other != name):
                    gone.add(name)
        return gone
