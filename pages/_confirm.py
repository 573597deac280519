"""The two buttons under a question that cannot be taken back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st


def draw_delete_or_keep(
    key: str,
    on_delete: Callable[..., None],
    *args: Any,
    keep: str = "Keep it",
    delete: str = "Delete",
) -> None:
    """Keep stands first. Either closes the dialog they are in; buttons are `key`_no and `key`_yes."""
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button(keep, key=f"{key}_no"):
            st.rerun()
        if st.button(
            delete,
            key=f"{key}_yes",
            type="primary",
            icon=":material/delete:",
            on_click=on_delete,
            args=args,
        ):
            st.rerun()
