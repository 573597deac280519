"""The one way from a page, a route or the launcher to the running engine.

Decides that there is one `Runtime` per server process, made when first needed. The holder lives in
Streamlit's resource cache, so a hot reload of this module finds the runtime it made before.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import streamlit as st

from pipeline.assembly import build_runtime
from pipeline.engine.runtime import Runtime
from pipeline.settings import load_settings


@dataclass(slots=True)
class _Holder:
    lock: threading.Lock = field(default_factory=threading.Lock)
    runtime: Runtime | None = None


@st.cache_resource(show_spinner=False)
def _holder() -> _Holder:
    return _Holder()


def get_runtime() -> Runtime:
    """The started runtime. Raises `GantryError` when settings, data folder or database cannot be used."""
    holder = _holder()
    with holder.lock:
        if holder.runtime is None:
            runtime = build_runtime(load_settings())
            runtime.start()
            holder.runtime = runtime
        return holder.runtime


def close_runtime() -> None:
    """Stop the runtime if there is one; the next `get_runtime` makes a new one."""
    holder = _holder()
    with holder.lock:
        runtime, holder.runtime = holder.runtime, None
    if runtime is not None:
        runtime.close()
