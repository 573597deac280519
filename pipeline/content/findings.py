"""Compare what researchers found. Pure."""

from __future__ import annotations

from typing import Any

from pipeline.models import AgentOutput


def findings_of(output: AgentOutput | None) -> list[dict[str, Any]]:
    """The findings in an output's fields; empty when it has none."""
    found = (output.data or {}).get("findings") if output else None
    return [f for f in found if isinstance(f, dict)] if isinstance(found, list) else []


def kept_findings(early: AgentOutput, final: AgentOutput | None) -> tuple[int, int]:
    """How many findings `early` had, and how many of them stand in `final`.

    The same finding is the same source with the same claim, whatever the spacing and case.
    """
    found = [_identity(finding) for finding in findings_of(early)]
    used = {_identity(finding) for finding in findings_of(final)}
    return len(found), sum(identity in used for identity in found)


def _identity(finding: dict[str, Any]) -> tuple[str, str]:
    claim = " ".join(str(finding.get("claim", "")).casefold().split())
    return str(finding.get("source_id", "")), claim.rstrip(".")
