"""Execute one run, from taking it to its last row, whatever happens in between.

Decides what an ending means: an outcome, a cancel, a bug, a takeover or the process stopping.
The pipeline itself is the injected handler; when and how many runs execute is the engine's.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict

from pipeline.engine.durable_journal import DurableJournal
from pipeline.engine.keys import KeyRing
from pipeline.engine.port import RunContext, RunEnded, RunHandler, RunOutcome
from pipeline.errors import GantryError, StoreBusy, StoreError, StoreUnreachable, Superseded
from pipeline.events import RunFinished
from pipeline.journal import Journal
from pipeline.knowledge.service import Knowledge
from pipeline.logs import log_context
from pipeline.models import RunRecord, RunStatus
from pipeline.redaction import redact
from pipeline.settings import Settings
from pipeline.store import RunStopped, Store

KEPT_JOURNALS = 32  # of finished runs, so that an open page need not read them back

logger = logging.getLogger(__name__)


class Executor:
    """Owned by one loop; `execute` is the engine's handler."""

    def __init__(
        self,
        store: Store,
        handler: RunHandler,
        settings: Settings,
        keys: KeyRing,
        told: RunEnded | None = None,
        knowledge: Knowledge | None = None,
    ) -> None:
        self._store = store
        self._handler = handler
        self._settings = settings
        self._keys = keys
        self._told = told
        self._knowledge = knowledge
        self._busy: dict[str, asyncio.Event] = {}
        self._journals: dict[str, Journal] = {}
        self._left: dict[
            str, str
        ] = {}  # why runs were left for later; said once, not twice a second
        self._finished: OrderedDict[str, Journal] = OrderedDict()

    @property
    def busy(self) -> frozenset[str]:
        """Runs this process works on now."""
        return frozenset(self._busy)

    def journal(self, run_id: str) -> Journal | None:
        """The live journal, or that of a run that ended here a short while ago. Any thread."""
        return self._journals.get(run_id) or self._finished.get(run_id)

    def forget(self, run_id: str) -> None:
        self._finished.pop(run_id, None)
        self._left.pop(run_id, None)
        self._keys.forget_run(run_id)

    async def ended(self, run_id: str) -> None:
        """Return when this process does not work on the run."""
        while (ended := self._busy.get(run_id)) is not None:
            await ended.wait()

    async def execute(self, run_id: str) -> bool:
        """Do all there is to do for the run now; only cancellation escapes.

        False when the store stood in the way, so that it should be executed again.
        """
        await self.ended(run_id)  # a cancelled execution may still be closing its calls
        ended = self._busy[run_id] = asyncio.Event()
        try:
            is_done = await self._execute(run_id)
            self._left.pop(run_id, None)
        except StoreError as error:
            if self._left.get(run_id) != str(error):
                logger.error("Run %s is left for later: %s", run_id, error)
            self._left[run_id] = str(error)
            return False
        else:
            return is_done
        finally:
            del self._busy[run_id]
            ended.set()

    async def _execute(self, run_id: str) -> bool:
        record = await self._store.begin(run_id, may_take=self._has_key)
        if record is None or record.status is not RunStatus.RUNNING:
            return True
        with log_context(run=run_id, epoch=record.epoch):
            return await self._carry_on(record)

    async def _carry_on(self, record: RunRecord) -> bool:
        journal = await self._open_journal(record)
        run_id = record.id
        logger.info("Run begins" if record.epoch == 1 else "Run goes on")
        self._finished.pop(run_id, None)
        self._journals[run_id] = journal
        try:
            return await self._carry_out(record, journal)
        finally:
            journal.close()
            if self._told is not None:
                self._told(record.id, record.spec, list(journal.events))
            self._finished[run_id] = self._journals.pop(run_id)
            while len(self._finished) > KEPT_JOURNALS:
                self._finished.popitem(last=False)

    def _has_key(self, record: RunRecord) -> bool:
        """False when the run's key was typed into another process, or before this one's start."""
        if record.spec.key_source != "typed":
            return True
        return self._keys.find(record.id, record.owner, record.spec.base_url) is not None

    async def _open_journal(self, record: RunRecord) -> DurableJournal:
        try:
            return await DurableJournal.open(self._store, record)
        except (StoreBusy, StoreUnreachable):
            raise  # the run is as it was; the next try finds the database back
        except Exception as error:
            # what is stored cannot be read back: starting again would only repeat it
            await self._end(record, _failure(record.id, error))
            raise

    async def _carry_out(self, record: RunRecord, journal: DurableJournal) -> bool:
        typed = record.spec.key_source == "typed"
        context = RunContext(
            settings=self._settings,
            owner=record.owner,
            typed_endpoint=self._keys.find(record.id, record.owner, record.spec.base_url)
            if typed
            else None,
            ledger=self._store.ledger(record.id, record.epoch),
            knowledge=self._knowledge,
        )
        try:
            try:
                outcome = await self._handler(record.spec, journal, context)
            finally:
                journal.end_text()
        except asyncio.CancelledError:
            await self._interrupted(record, journal)
            raise
        except Exception as error:  # the edge of the run: stored and logged
            if _lost_run(error):
                logger.info("Run %s: %s", record.id, error)
                return not await self._interrupted(record, journal)
            if (away := _lost_store(error)) is not None:
                raise away from error  # left for later: nothing is wrong with the run itself
            outcome = _failure(record.id, error)
        _tell(journal, outcome)
        try:
            await self._end(record, outcome)
        except RunStopped:
            logger.info("Run %s was cancelled just before it ended", record.id)
        return True

    async def _interrupted(self, record: RunRecord, journal: Journal) -> bool:
        """The handler was stopped: by a person, by another process, or because we close.

        True when the run is still ours to continue.
        """
        now = await self._store.find_run(record.id)
        is_ours = now is not None and now.epoch == record.epoch
        if now is not None and is_ours:
            if now.status is RunStatus.RUNNING:
                await self._store.release(record.id, record.epoch)  # continues at the next start
            elif now.status.is_final:  # queued: cancelled and continued while this was closing
                _tell(journal, RunOutcome(now.status))
        await self._store.writer.flush()
        return now is not None and is_ours and now.status is RunStatus.RUNNING

    async def _end(self, record: RunRecord, outcome: RunOutcome) -> None:
        logger.info(
            "Run ended: %s",
            outcome.status,
            extra={"makespan_s": outcome.makespan_s, "error_code": outcome.error_code},
        )
        await self._store.finish(
            record.id,
            record.epoch,
            outcome.status,
            degraded=outcome.degraded,
            error=outcome.error,
            error_code=outcome.error_code,
            makespan_s=outcome.makespan_s,
            saved_share=outcome.saved_share,
        )
        if outcome.status.is_final:
            self._keys.forget_run(record.id)


def _lost_run(error: Exception) -> bool:
    """True when a write was refused because the run is no longer ours; also inside task groups."""
    if isinstance(error, ExceptionGroup):
        return error.subgroup(Superseded) is not None
    return isinstance(error, Superseded)


def _lost_store(error: Exception) -> StoreError | None:
    """The one that says that the database is away or locked; also inside task groups."""
    while isinstance(error, ExceptionGroup):
        found = error.subgroup((StoreBusy, StoreUnreachable))
        if found is None:
            return None
        error = found.exceptions[0]
    return error if isinstance(error, StoreBusy | StoreUnreachable) else None


def _failure(run_id: str, error: Exception) -> RunOutcome:
    logged = error
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]  # the first is the cause; a task group cancels the others
    if isinstance(error, GantryError):
        return RunOutcome(RunStatus.FAILED, error=str(error), error_code=error.code)
    logger.error("Run %s hit a bug", run_id, exc_info=logged)
    return RunOutcome(
        RunStatus.FAILED,
        error=f"Gantry made a mistake ({type(error).__name__}: {redact(str(error))}). "
        "What was finished is kept; continue the run to try again.",
        error_code="internal",
    )


def _tell(journal: Journal, outcome: RunOutcome) -> None:
    """Close the account of this epoch, unless the handler has."""
    last = journal.events[-1] if journal.events else None
    if isinstance(last, RunFinished) and last.epoch == journal.epoch:
        return
    journal.record(
        RunFinished,
        status=outcome.status.value,
        degraded=list(outcome.degraded),
        error=outcome.error,
        error_code=outcome.error_code,
    )
