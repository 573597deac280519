"""Who executes a run: the queue's port, its in-process adapter, and the runtime that owns the loop."""

from pipeline.engine.port import Engine, RunContext, RunHandler, RunOutcome
from pipeline.engine.runtime import Runtime

__all__ = ["Engine", "RunContext", "RunHandler", "RunOutcome", "Runtime"]
