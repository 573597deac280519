"""Put tool calls together from the pieces a stream sends, whoever numbers them and how.

Pieces belong together by index. Where providers leave the index out, or give every parallel
call the same one, their ids tell the calls apart.
"""

from __future__ import annotations

from pipeline.foreign_json import read_json
from pipeline.llm.call import ToolCall
from pipeline.llm.odd_chunks import ToolDelta


def add_tool(calls: dict[int, ToolCall], tool: ToolDelta, *, is_over: bool) -> None:
    """Join a piece to the call it belongs to. `is_over`: the choice had ended before this piece.

    The name and id that came first stay: some providers repeat them, others send empty ones.
    """
    index = _index(calls, tool, is_over)
    known = calls.get(index) or ToolCall("", "", "")
    calls[index] = ToolCall(
        known.id or tool.id or "", known.name or tool.name, known.arguments + tool.written
    )


def _index(calls: dict[int, ToolCall], tool: ToolDelta, is_over: bool) -> int:
    by_id = next((i for i, call in calls.items() if tool.id and call.id == tool.id), None)
    if tool.index is None:
        if by_id is not None:
            return by_id
        is_new = tool.id or tool.name or not calls
        return max(calls, default=-1) + 1 if is_new else max(calls)
    known = calls.get(tool.index)
    if known is None or not tool.id or not tool.name or tool.id == known.id:
        return tool.index
    if by_id is not None:
        return by_id
    if known.id and not is_over and _is_complete(known.arguments):
        return max(calls) + 1  # parallel calls that all carry the same index
    return tool.index


def _is_complete(arguments: str) -> bool:
    try:
        read_json(arguments)
    except ValueError:
        return False
    return True
