"""Put tool calls together from the pieces a stream sends, whoever numbers them and how.

Pieces belong together by index. Where providers leave the index out, or give every parallel
call the same one, ids tell the calls apart; where there are no ids either, a piece with a name
begins a new call once the arguments before it are whole.
"""

from __future__ import annotations

from pipeline.foreign_json import read_json
from pipeline.llm.call import ToolCall
from pipeline.llm.odd_chunks import ToolDelta

_JUDGED_MAX_CHARS = 100_000  # longer arguments are not looked at again with every piece


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
    last = max(calls, default=-1)
    by_id = next((i for i, call in calls.items() if tool.id and call.id == tool.id), None)
    if tool.index is None:
        if by_id is not None:
            return by_id
        is_new = not calls or tool.id or _begins_anew(calls[last], tool)
        return last + 1 if is_new else last
    known = calls.get(tool.index)
    if known is None or (tool.id and tool.id == known.id):
        return tool.index
    if by_id is not None:
        return by_id
    if is_over:
        return tool.index
    if _begins_anew(known, tool):
        return last + 1  # parallel calls that all carry the same index
    if _goes_on_elsewhere(known, tool) and not _is_complete(calls[last].arguments):
        return last
    return tool.index


def _begins_anew(known: ToolCall, tool: ToolDelta) -> bool:
    """True when a piece that has `known`'s place, but not its id, is the first of another call."""
    if not tool.name or not known.name:
        return False
    is_blank = not known.arguments.strip()
    if tool.id and known.id:
        return is_blank or _is_complete(known.arguments)
    if tool.name != known.name:
        return (is_blank and not known.id) or _is_complete(known.arguments)
    return bool(tool.written.strip()) and _is_complete(known.arguments)  # else: the name again


def _goes_on_elsewhere(known: ToolCall, tool: ToolDelta) -> bool:
    """True when a piece cannot belong to `known`, which is whole already."""
    return not tool.name and bool(tool.written.strip()) and _is_complete(known.arguments)


def _is_complete(arguments: str) -> bool:
    if len(arguments) > _JUDGED_MAX_CHARS or not arguments.rstrip().endswith("}"):
        return False
    try:
        read_json(arguments)
    except ValueError:
        return False
    return True
