"""Guess how long an agent will take and how much it will write, from how it was before.

Pure: told what finished runs took, it answers with medians of the last few, which one odd run
does not move. The seeds are the token counts of the fixed workload in docs/admission.md at 60
tokens a second; they only matter until the first run has ended. Used for the order of waiting
calls and for reserving tokens, never for a figure that is shown as measured.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from statistics import median

from pipeline.models import AgentState, family, plausible_tokens
from pipeline.timing import RunTiming

KEPT = 15  # values per agent and model
LEARN_EVERY_S = 1.0
MODELS_KEPT = 200  # pairs of agent and model; the one used longest ago is forgotten

_FIRST_TOKEN_S = 0.4
_TOKENS_PER_S = 60.0
_DEFAULT_TOKENS = 400.0
_SEED_TOKENS: Mapping[str, float] = {
    "topic_planner": 250,
    "web_researcher": 350,
    "kb_researcher": 250,
    "content_writer": 900,
    "editor": 900,
    "seo_specialist": 250,
    "metrics_analyzer": 180,
    "publisher": 150,
    "summary_writer": 250,
    "social_promoter": 950,
}

_Key = tuple[str, str]  # agent, model


class Estimates:
    """What agents took, by agent and model. One per process; not for several threads."""

    def __init__(self) -> None:
        self._service_s: dict[_Key, deque[float]] = {}
        self._tokens: dict[_Key, deque[float]] = {}
        self._learned_s = -math.inf

    def service_s(self, agent: str, model: str) -> float:
        """Seconds of service: first request to settled, without waits."""
        known = _values(self._service_s, agent, model)
        if known:
            return median(known)
        return _FIRST_TOKEN_S + _seed(agent) / _TOKENS_PER_S

    def output_tokens(self, agent: str, model: str, most: int | None = None) -> float:
        """Tokens of one reply, no more than `most`; a caller nobody knows is taken at `most`."""
        known = _values(self._tokens, agent, model)
        if known:
            guess = max(known)  # a reservation that is too small is a limit passed
        elif family(agent) in _SEED_TOKENS:
            guess = 2.0 * _seed(agent)
        else:
            guess = float(most or 2.0 * _DEFAULT_TOKENS)
        return guess if most is None else min(guess, float(most))

    def learn_service(self, agent: str, model: str, seconds: float) -> None:
        _add(self._service_s, (agent, model), seconds)

    def learn_tokens(self, agent: str, model: str, tokens: int) -> None:
        if agent:
            likely = plausible_tokens(tokens, self.output_tokens(agent, model))
            _add(self._tokens, (agent, model), likely)

    def learn_run(
        self,
        timing: RunTiming,
        models: Mapping[str, str],
        now_s: float = math.inf,
    ) -> None:
        """Take over what a run's agents took. `models` names each agent's model.

        At most one run a second of the caller's clock: under load one tells as much as the next.
        """
        if now_s - self._learned_s < LEARN_EVERY_S:
            return
        if now_s < math.inf:
            self._learned_s = now_s
        for agent in timing.agents:
            if agent.state is AgentState.DONE and not agent.reused and agent.service_s > 0:
                model = models.get(agent.agent, "")
                self.learn_service(agent.agent, model, agent.service_s)


def _seed(agent: str) -> float:
    tokens = _SEED_TOKENS.get(family(agent), _DEFAULT_TOKENS)
    return tokens / 6.0 if "/" in agent else tokens


def _values(store: Mapping[_Key, deque[float]], agent: str, model: str) -> deque[float] | None:
    return store.get((agent, model))


def _add(store: dict[_Key, deque[float]], key: _Key, value: float) -> None:
    values = store.pop(key, None)
    if values is None:
        values = deque(maxlen=KEPT)
        if len(store) >= MODELS_KEPT:
            del store[next(iter(store))]
    values.append(value)
    store[key] = values  # last used, last forgotten
