"""A run as it may be shown to people who only have a link: the work, not where it was done.

Pure. The address of an endpoint is its owner's business; it stands in the spec, and in errors
that say who did not answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final, TypeVar
from urllib.parse import urlsplit

from pipeline import events as facts
from pipeline.base_url import address
from pipeline.events import AnyEvent
from pipeline.export.bundle import Bundle
from pipeline.models import RunRecord, RunSpec

ELSEWHERE: Final = "the endpoint"

T = TypeVar("T", str, bytes)


def public_run(run: RunRecord) -> RunRecord:
    """The run without the address its calls went to."""
    return replace(
        run,
        spec=run.spec.model_copy(update={"base_url": None}),
        error=without_address(run.error, run.spec),
        degraded=tuple(without_address(mark, run.spec) for mark in run.degraded),
    )


def public_bundle(bundle: Bundle) -> Bundle:
    """All of a run without that address."""
    run = bundle.run
    return replace(bundle, run=public_run(run), events=_public_events(bundle.events, run.spec))


def _public_events(events: Sequence[AnyEvent], spec: RunSpec) -> list[AnyEvent]:
    if not spec.base_url:
        return list(events)
    hidden = (facts.decode(without_address(facts.encode(event), spec)) for event in events)
    return [event for event in hidden if event is not None]


def without_address(text: T, spec: RunSpec) -> T:
    """`text`, or JSON in UTF-8, without the run's own address in any form it is written in."""
    for form in _forms(spec.base_url):
        if isinstance(text, bytes):
            text = text.replace(form.encode(), ELSEWHERE.encode())
        else:
            text = text.replace(form, ELSEWHERE)
    return text


def _forms(base_url: str | None) -> Iterable[str]:
    """Longest first, so that no rest of a longer one stays.

    A host that is a plain word stays: it tells little, and texts and field names hold it too.
    """
    if not base_url:
        return ()
    parts = urlsplit(base_url)
    forms = {base_url.rstrip("/"), address(base_url), parts.netloc, parts.hostname or ""}
    return sorted((form for form in forms if set(form) & set(".:/")), key=len, reverse=True)
