"""What a run's texts say against its brand voice: for the agents as remarks, for readers as a list. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.content.remarks import Remarks, Review, Reviewed
from pipeline.content.social import platforms
from pipeline.content.social.finished import named_posts, post_words
from pipeline.content.voice_check import VoiceFault, action_fault, has_action, word_faults
from pipeline.models import AgentSpec, family
from pipeline.voice import Voice

VOICED = ("content_writer", "editor", "social_promoter")  # who is told about the voice


def voice_section(voice: Voice, agent: AgentSpec) -> dict[str, Any]:
    """What an agent is told of the voice, as data. Of parts only the last one is to call to action."""
    told: dict[str, Any] = {
        "how_it_sounds": voice.voice,
        "readers": voice.audience,
        "never_use": list(voice.banned_words),
        "spelling": [{"write": pair.use, "not": pair.instead_of} for pair in voice.spelling],
        "own_pages": [{"title": link.title, "address": link.url} for link in voice.links],
        "call_to_action": voice.call_to_action if _ends_the_article(agent) else "",
    }
    return {name: value for name, value in told.items() if value}


def voice_remarks(voice: Voice, text: str, *, whole: bool) -> list[str]:
    """What is to be mended in an article, or in a part of one, one sentence each."""
    faults = word_faults(voice, text)
    if whole and (action := action_fault(voice, text)) is not None:
        faults.append(action)
    return [fault.sentence for fault in faults]


def voice_review(agent: AgentSpec, voice: Voice | None) -> Review | None:
    """The review of what editor and promoter answer; the writer's faults go to the editor."""
    if voice is None or family(agent.name) not in ("editor", "social_promoter"):
        return None

    def review(answer: Reviewed) -> Remarks:
        if answer.data is not None:
            faults = [(fault, where) for where, fault in _post_faults(voice, answer.data)]
            lines = [f"{where}: {fault.sentence}" for fault, where in faults]
        else:
            lines = voice_remarks(voice, answer.text, whole=_ends_the_article(agent))
        return _asked(lines)

    return review


def voice_view(
    voice: Voice, article: str | None, posts: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The list for readers, as JSON values: every fault with where it stands.

    `call_to_action` says of the article whether it has it (None: there is no article or nothing to
    look for), and how many posts do.
    """
    faults: list[tuple[str, VoiceFault]] = []
    if article is not None:
        faults += [("Article", fault) for fault in word_faults(voice, article)]
        if (action := action_fault(voice, article)) is not None:
            faults.append(("Article", action))
    faults += _post_faults(voice, posts)
    texts = [post_words(post) for post, _ in named_posts(posts)]
    looked_for = bool(voice.call_to_action)
    return {
        "name": voice.name,
        "faults": [
            {"where": where, "sentence": fault.sentence, **fault.to_dict()}
            for where, fault in faults
        ],
        "checked": {
            "banned_words": len(voice.banned_words),
            "spelling": len(voice.spelling),
            "call_to_action": looked_for,
        },
        "call_to_action": {
            "article": has_action(voice, article) if looked_for and article is not None else None,
            "posts": sum(has_action(voice, text) for text in texts) if looked_for else None,
            "of_posts": len(texts),
        },
    }


def voice_headline(view: Mapping[str, Any]) -> str:
    count = len(view["faults"])
    return f"{count} {'place' if count == 1 else 'places'} to mend" if count else "nothing to mend"


def voice_lines(view: Mapping[str, Any]) -> list[str]:
    """What was looked for and found, one sentence each; faults first."""
    lines = [f"{fault['where']}: {fault['sentence']}" for fault in view["faults"]]
    for name, what in (("banned_words", "banned word"), ("spelling", "spelling")):
        kind = name.removesuffix("s") if name == "banned_words" else name
        count = view["checked"][name]
        if count and not any(fault["kind"] == kind for fault in view["faults"]):
            lines.append(f"{count} {what}{'' if count == 1 else 's'} checked, nothing found.")
    action = view["call_to_action"]
    if action["article"]:
        lines.append("The article has the call to action word for word.")
    if action["posts"] is not None and action["of_posts"]:
        lines.append(f"{action['posts']} of {action['of_posts']} posts have the call to action.")
    return lines or ["This voice has nothing that code can check."]


def _ends_the_article(agent: AgentSpec) -> bool:
    return agent.part is None or agent.part.number == agent.part.count


def _post_faults(voice: Voice, posts: Mapping[str, Any] | None) -> Iterable[tuple[str, VoiceFault]]:
    for post, variant in named_posts(posts):
        title = platforms()[str(post["platform"])].title
        text = " ".join([post_words(post), *map(str, post.get("hashtags") or ())])
        for fault in word_faults(voice, text):
            yield f"{title}, variant {variant.upper()}", fault


def _asked(lines: Sequence[str]) -> Remarks:
    if not lines:
        return Remarks()
    listed = "\n".join(f"- {line}" for line in lines)
    return Remarks(
        f"This is against the brand voice:\n{listed}\nMend these places; leave everything else as it is.",
        len(lines),
    )
