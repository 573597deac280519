"""Keys typed by people: in this process's memory only, gone with it.

A key belongs to one owner and one endpoint; it is found again for the run it was typed for, and
for other runs of the same owner on the same endpoint. It is never shown, logged or stored.
"""

from __future__ import annotations

from pipeline.models import Endpoint


class KeyRing:
    def __init__(self) -> None:
        self._by_run: dict[str, Endpoint] = {}
        self._by_owner: dict[tuple[str, str | None], Endpoint] = {}

    def __repr__(self) -> str:
        return f"KeyRing({len(self._by_owner)} endpoints)"

    def remember(self, run_id: str, owner: str, endpoint: Endpoint) -> None:
        self._by_run[run_id] = endpoint
        self._by_owner[owner, endpoint.base_url] = endpoint

    def find(self, run_id: str, owner: str, base_url: str | None) -> Endpoint | None:
        return self._by_run.get(run_id) or self._by_owner.get((owner, base_url))

    def forget_run(self, run_id: str) -> None:
        self._by_run.pop(run_id, None)
