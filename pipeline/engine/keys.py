"""Keys typed by people: in this process's memory only, gone with it.

A key belongs to one owner and one endpoint; it is found again for the run it was typed for, and
for other runs of the same owner on the same endpoint. It is never shown, logged or stored.
"""

from __future__ import annotations

from pipeline.base_url import OPENAI_URL, same_base_url
from pipeline.models import Endpoint
from pipeline.redaction import remember_secret


class KeyRing:
    def __init__(self) -> None:
        self._by_run: dict[tuple[str, str], Endpoint] = {}  # run and owner: an id is no secret
        self._by_owner: dict[tuple[str, str], Endpoint] = {}

    def __repr__(self) -> str:
        return f"KeyRing({len(self._by_owner)} endpoints)"

    def remember(self, run_id: str, owner: str, endpoint: Endpoint) -> None:
        remember_secret(endpoint.api_key)
        self._by_run[run_id, owner] = endpoint
        self._by_owner[owner, _place(endpoint.base_url)] = endpoint

    def find(self, run_id: str, owner: str, base_url: str | None) -> Endpoint | None:
        """The endpoint whose key was typed for `base_url`; a key for another address is no match."""
        own = self._by_run.get((run_id, owner))
        if own is not None and same_base_url(own.base_url, base_url):
            return own
        return self._by_owner.get((owner, _place(base_url)))

    def forget_run(self, run_id: str) -> None:
        for run, owner in [key for key in self._by_run if key[0] == run_id]:
            del self._by_run[run, owner]


def _place(base_url: str | None) -> str:
    return (base_url or OPENAI_URL).rstrip("/")
