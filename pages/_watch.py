"""Mount the live view with a token for its socket: made anew at every rerun, after the page's check."""

from __future__ import annotations

from pages._owner import owner
from pages._runtime import get_runtime
from pages._state import live_round
from pages._text import clipped
from pipeline.models import RunRecord
from pipeline.web.access import Grant, sign, sign_owner
from pipeline.web.live_view import live_view


def watch(run: RunRecord, *, share: str = "") -> bool:
    """Show a run while it goes on, to its owner or by a link. True in the rerun that its end causes."""
    grant = Grant(run.id, share=share) if share else Grant(run.id, owner())
    secret = get_runtime().signing_secret()
    # in hex: an id may hold `__`, which Streamlit keeps for itself in a component's key
    return live_view(
        run.id,
        token=sign(grant, secret),
        gates_token="" if share else sign_owner(grant.owner, secret),
        topic=clipped(run.spec.topic, 60),
        key=f"live-{run.id.encode().hex()}-{live_round()}",
    )
