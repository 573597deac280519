"""Who may watch a run live, or the gates: short-lived tokens that a page hands out and a route takes.

A page that has checked the owner, or a link, signs what it found; the socket reads that and asks
the store again. A token opens one run's socket, or `/api/admission` as one owner, for
`TOKEN_LIFE_S` and says nothing else; neither is read where the other is meant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from itsdangerous import BadData, URLSafeTimedSerializer

from pipeline.engine.runtime import Runtime
from pipeline.web.live_source import strangers_view

TOKEN_LIFE_S: Final = 60  # to connect; a socket that is open stays open
_SALT: Final = "gantry.watch"
_ADMISSION_SALT: Final = "gantry.admission"  # another key: a token is good for one purpose


@dataclass(frozen=True, slots=True)
class Grant:
    """The right to watch `run_id`: as its owner, or by the link whose token has `share`'s hash."""

    run_id: str
    owner: str = ""
    share: str = ""

    @property
    def view(self) -> str:
        """What the hub is asked for."""
        return strangers_view(self.run_id) if self.share else self.run_id


def sign(grant: Grant, secret: bytes) -> str:
    return _serializer(secret, _SALT).dumps([grant.run_id, grant.owner, grant.share])


def read(token: str, secret: bytes, *, life_s: int = TOKEN_LIFE_S) -> Grant | None:
    """What `token` grants; None when it is not ours, was changed, or is too old."""
    try:
        run_id, owner, share = _serializer(secret, _SALT).loads(token, max_age=life_s)
    except (BadData, ValueError, TypeError):
        return None
    return Grant(str(run_id), str(owner), str(share))


def sign_owner(owner: str, secret: bytes) -> str:
    """A token that shows the gates as `owner` may see them."""
    return _serializer(secret, _ADMISSION_SALT).dumps(owner)


def read_owner(token: str, secret: bytes, *, life_s: int = TOKEN_LIFE_S) -> str | None:
    """Whose token of `sign_owner` it is; None when it is not ours, was changed, or is too old."""
    try:
        owner = _serializer(secret, _ADMISSION_SALT).loads(token, max_age=life_s)
    except (BadData, ValueError, TypeError):
        return None
    return owner if isinstance(owner, str) and owner else None


def still_holds(grant: Grant, runtime: Runtime) -> bool:
    """Ask the store: the run is there and its owner's, or its link has not been withdrawn. Blocks."""
    if not grant.share:
        return runtime.run(grant.run_id, grant.owner) is not None
    run = runtime.shared_run(grant.share)
    return run is not None and run.id == grant.run_id


def _serializer(secret: bytes, salt: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(secret, salt=salt)
