"""Admission: when a call may go out, and whose goes first. docs/admission.md explains the rules."""

from pipeline.llm.admission.circuit import Breaker, CircuitRules, Probe
from pipeline.llm.admission.gate import Gate, GateRegistry, Grant
from pipeline.llm.admission.shared import GateKey, InMemoryLimits, Lease, SharedLimits
from pipeline.llm.admission.snapshot import CircuitReading, GateSnapshot, HedgeCounts, WaiterReading
from pipeline.llm.admission.ticket import NOBODY, Ticket

__all__ = [
    "NOBODY",
    "Breaker",
    "CircuitReading",
    "CircuitRules",
    "Gate",
    "GateKey",
    "GateRegistry",
    "GateSnapshot",
    "Grant",
    "HedgeCounts",
    "InMemoryLimits",
    "Lease",
    "Probe",
    "SharedLimits",
    "Ticket",
    "WaiterReading",
]
