"""One release under way, the first time or after a kill: the phase is told by what its journal notes.

shadow     until ``shadow`` is noted           (scratch copies of a killed one are swept first)
publish    until ``since`` is noted            (publishing looks whether it was done)
watch      until a look decides
back       once ``why`` is noted
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from difyops.api.instance import Instance
from difyops.api.server_time import server_time
from difyops.changes import Change, Ended
from difyops.cost.prices import Prices
from difyops.counting import counted
from difyops.errors import DifyopsError
from difyops.publishing.held import TARGET
from difyops.publishing.putting import Putting, now_of
from difyops.release.cases import LIVE, CasesLook, as_kept, asked_live, cases_of, from_kept, judged_look
from difyops.release.gates import FAIL, OPEN, PASS, GateLook, look
from difyops.release.holds import Hold, hold, holds
from difyops.release.plan import DRAFT, ReleasePlan, plan_of
from difyops.release.pricing import by_answer, priced, prices_for, prices_of, to_price
from difyops.release.shadow import ShadowInput, scratches_of, shadow
from difyops.release.watch import RunSource, moment
from difyops.release.watch import from_kept as from_kept_events

KIND = "release"
BASELINE = "baseline"
CASES, ASKED, PRICES = "cases", "asked", "prices"  # private files
JsonObject = dict[str, Any]
_FAILING_LOOKS = 2
_MOST_ASKED = 5  # times that cases which could not be judged are asked


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseVerdict:
    """An end: pass, fail or inconclusive; the state that the app is in; why."""

    word: str
    state: str
    text: str


@dataclass(slots=True)
class Work:
    """One release: facts and notes in the journal, documents and the old version's runs in its private files."""

    instance: Instance
    change: Change

    @property
    def plan(self) -> ReleasePlan:
        """Return the plan that is carried out."""
        return plan_of(self.change.record.facts["plan"])

    @property
    def putting(self) -> Putting:
        """Return how the app's document goes live and comes back."""
        return Putting(self.instance, self.change)

    async def advance(self) -> ReleaseVerdict | None:
        """Go as far as it goes without waiting; ``None``: it is live and watched.

        Raises:
            DifyopsError: a call failed; it can be done again.
        """
        memo = self.change.memo
        if memo("why") is not None:
            return await self._taken_back()
        if memo("shadow") is None:
            await self._shadow()
        tried = memo("shadow") or {}
        if tried["word"] in (FAIL, OPEN) and memo("since") is None:
            return self._ends(
                ReleaseVerdict(word=tried["word"], state="not published", text=f"shadow: {tried['text']}")
            )
        if memo("since") is None:
            await self._cases_before()
            await self._publish()
        return await self._look()

    async def back(self) -> Ended:
        """Put back what was live before, where what is live is still ours; scratch copies are swept."""
        swept = await scratches_of(self.instance, self.change).sweep()
        taken = await self.putting.take_back(keep_draft=self.plan.target.source == DRAFT)
        state = "overtaken" if taken.left_alone else "undone"
        return Ended(state=state, text="; ".join(taken.said), warnings=swept.left)

    def held(self) -> ReleaseVerdict:
        """Return the verdict of a release that stays live and is not decided."""
        return ReleaseVerdict(word=OPEN, state="held", text=self.missing())

    @property
    def cannot_tell(self) -> bool:
        """Say whether more runs of the new version would decide nothing: the old one has too few to hold against."""
        looks, wanted = self.change.memo("looks") or [], self.plan.watch.events
        return bool(looks) and looks[-1]["word"] == OPEN and looks[-1]["old_events"] < wanted <= looks[-1]["events"]

    def missing(self) -> str:
        """Say what the verdict still waits for."""
        looks, plan, cases = self.change.memo("looks") or [], self.plan, self.change.memo("cases") or []
        if cases and cases[-1]["word"] == OPEN:
            return str(cases[-1]["text"])
        if not looks:
            return f"fewer than {plan.watch.least} runs of the new version ended; {plan.watch.events} are wanted"
        return str(looks[-1]["text"])

    async def _shadow(self) -> None:
        left = (await scratches_of(self.instance, self.change).sweep()).left
        plan = self.plan
        if plan.shadow.calls:
            self.change.say(
                f"Shadow: at most {counted(plan.shadow.calls, 'input')} through copies of both versions"
                + (f", at most {counted(plan.shadow.tokens, 'token')}." if plan.shadow.tokens else ".")
            )
        now = await now_of(self.instance, plan.app_id)
        held = self.change.kept(CASES)
        given = ShadowInput(
            cases=cases_of(plan) if plan.shadow.calls else (), before=from_kept(held) if held else None,
            prices=self._prices,
        )  # fmt: skip
        found = await shadow(self.instance, self.change, plan, now, self._target(), given)
        told: JsonObject = {"word": found.word, "text": found.text, "pairs": found.pairs, "used": found.used}
        if found.cases is not None and found.before is not None:
            told["cases"] = found.cases.as_row()
            self.change.keep(CASES, as_kept(found.before))
        self.change.note(shadow=told, left=[*left, *found.left])

    def _target(self) -> JsonObject:
        held = self.change.kept(TARGET) or {}
        putting = self.putting
        return dict(held["document"]) if putting.is_workflow or putting.is_agent else {"model_config": held}

    async def _publish(self) -> None:
        clock = self.change.journal.clock
        before = (await server_time(self.instance, clock)).earliest
        draft = await self.putting.put_live()
        now = await now_of(self.instance, self.plan.app_id)
        # Where versions are told by time, nothing that may have run on the old one counts for the new one.
        since = before if now.label else (await server_time(self.instance, clock)).latest
        is_draft = self.plan.target.source == DRAFT
        self.change.note(new_version=now.version or None, new_label=now.label, draft=None if is_draft else draft)
        self.change.note(since=since, waits=f"difyops release status {self.plan.app_name!r}")
        self.change.checkpoint("published")

    async def _look(self) -> ReleaseVerdict | None:
        """Look once at the runs so far; decide where that is possible."""
        if not await self.putting.is_live_ours():
            text = "somebody else published meanwhile; that is left alone"
            return self._ends(ReleaseVerdict(word=OPEN, state="overtaken", text=text))
        if (failed := await self._cases_live()) is not None:
            return failed
        plan, looks = self.plan, list(self.change.memo("looks") or [])
        found = await self._judged(len(looks) + 1)
        new = found.events - (looks[-1]["events"] if looks else 0)
        if new < plan.watch.least:
            return None
        looks.append(row_of(found))
        self.change.note(looks=looks)
        failing = [item["word"] for item in looks[-_FAILING_LOOKS:]]
        if failing == [FAIL] * _FAILING_LOOKS:
            self.change.note(why=found.text)
            self.change.checkpoint("failed twice")
            return await self._taken_back()
        if found.word == PASS and (failed := await self._cases_live(again=True)) is not None:
            return failed
        if found.word == PASS and self._cases_word() == PASS:
            missed = await self.putting.missed_slots()
            self.change.note(missed=missed)
            return self._ends(ReleaseVerdict(word=PASS, state="passed", text=found.text))
        return None

    async def _judged(self, number: int) -> GateLook:
        plan = self.plan
        app = await self.instance.console.app(plan.app_id)
        source = RunSource(
            instance=self.instance, app=app, timezone=str(self.change.record.facts["timezone"]),
            price=by_answer(self._target(), self._prices),
        )  # fmt: skip
        until = moment((await server_time(self.instance, self.change.journal.clock)).latest) + timedelta(minutes=1)
        new = await source.new(str(self.change.memo("new_label") or ""), moment(self.change.memo("since")), until)
        ours = set((self.change.kept(ASKED) or {}).get("runs") or ())  # cases that we asked are no traffic
        new = [event for event in new if event.id not in ours]
        old = from_kept_events((self.change.kept(BASELINE) or {}).get("events") or [])
        if self._prices is not None:
            known = dict((self.change.kept(PRICES) or {}).get("runs") or {})
            known |= await prices_of(self.instance, app, to_price(new, known), self._prices)
            known |= await prices_of(self.instance, app, to_price(old, known), self._prices)
            self.change.keep(PRICES, {"runs": known})
            old, new = priced(old, known), priced(new, known)
        return look(old, new, plan.gates, number=number, wanted=plan.watch.events)

    async def _cases_before(self) -> None:
        """Ask the live app the cases while it is the old version, where neither a baseline nor a shadow tells."""
        if self.plan.cases is not None and self.change.kept(CASES) is None:
            found = await asked_live(self.instance, self.plan, cases_of(self.plan))
            self.change.keep(CASES, as_kept(found))

    async def _cases_live(self, *, again: bool = False) -> ReleaseVerdict | None:
        """Ask the new version the cases, a second time where it fails; return the verdict of one that fails twice.

        ``again``: also where they were asked and could not be judged.
        """
        plan, rows = self.plan, list(self.change.memo("cases") or [])
        if plan.cases is None or (rows and not (again and rows[-1]["word"] == OPEN and len(rows) < _MOST_ASKED)):
            return None
        for _ in range(_FAILING_LOOKS):
            found = await self._cases_asked()
            rows.append(found.as_row())
            self.change.note(cases=rows)
            self.change.checkpoint("cases judged")
            if found.word != FAIL:
                return None
        self.change.note(why=found.text)
        self.change.checkpoint("failed twice")
        return await self._taken_back()

    async def _cases_asked(self) -> CasesLook:
        """Ask the live app every case once; where that cannot be done, the look says why, and decides nothing."""
        plan = self.plan
        try:
            after = await asked_live(self.instance, plan, cases_of(plan))
        except DifyopsError as error:
            return CasesLook(where=LIVE, word=OPEN, text=f"cases: they could not be asked: {error.message}")
        runs = [*((self.change.kept(ASKED) or {}).get("runs") or ()), *(row.run_id for row in after.rows)]
        self.change.keep(ASKED, {"runs": runs})
        return judged_look(plan, LIVE, from_kept(self.change.kept(CASES) or {}), after)

    def _cases_word(self) -> str:
        rows = self.change.memo("cases") or []
        return PASS if self.plan.cases is None else str(rows[-1]["word"]) if rows else OPEN

    @property
    def _prices(self) -> Prices | None:
        """Return the list of prices where the plan judges the price."""
        return prices_for(self.plan, self.change.record.facts.get("own_prices"))

    async def _taken_back(self) -> ReleaseVerdict:
        """Go back by itself, and hold the content."""
        why, plan, journal = str(self.change.memo("why")), self.plan, self.change.journal
        ended = await self.back()
        self.change.note(left=list(ended.warnings))
        if ended.state == "overtaken":
            return self._ends(ReleaseVerdict(word=FAIL, state="overtaken", text=f"{why}; {ended.text}"))
        if not any(item.change == self.change.id for item in holds(journal.ledger, plan.app_id)):
            held = Hold(
                app=plan.app_id, hash=plan.target.hash, change=self.change.id, why=why, when=journal.clock.now()
            )
            hold(journal.ledger, journal.context, held)
        return self._ends(ReleaseVerdict(word=FAIL, state="rolled back", text=f"{why}; {ended.text}"))

    def _ends(self, verdict: ReleaseVerdict) -> ReleaseVerdict:
        self.change.note(verdict=dataclasses.asdict(verdict))
        return verdict


def row_of(found: GateLook) -> JsonObject:
    """Return a look as the journal keeps it and as it is shown."""
    return {
        "look": found.number, "word": found.word, "events": found.events, "failed": found.failed,
        "old_events": found.old_events, "old_failed": found.old_failed, "e": round(found.e, 6), "text": found.text,
    }  # fmt: skip
