"""What code finds of a brand voice in a text, in any script."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.agents.outputs import SocialPosts
from pipeline.agents.reviews import review_of
from pipeline.agents.roster import ROSTER
from pipeline.content.article import article_of
from pipeline.content.remarks import Reviewed
from pipeline.content.voice_check import action_fault, has_action, word_faults
from pipeline.content.voice_review import voice_headline, voice_lines, voice_view
from pipeline.models import AgentOutput, RunSpec
from pipeline.voice import HouseLink, Spelling, Voice

AGENTS = {agent.name: agent for agent in ROSTER}


def voice(*banned: str, **fields: object) -> Voice:
    return Voice.model_validate({"name": "House", "banned_words": banned, **fields})


def spelt(use: str, instead_of: str) -> Voice:
    return voice(spelling=[Spelling(use=use, instead_of=instead_of)])


@pytest.mark.parametrize(
    ("word", "text", "count"),
    [
        ("leverage", "Leverage it. LEVERAGE! (leverage)", 3),
        ("leverage", "leveraged, overleverage", 0),
        ("straße", "Die STRASSE ist lang.", 1),
        ("world class", "A world\n  class thing, a world-class thing", 1),
        ("don't", "We don’t know.", 1),
        ("guru", "The #guru says @guru at https://example.com/guru.", 1),
        ("guru", "Read [this](https://example.com/guru) by a **guru**.", 1),
        ("蜜蜂", "城市里的蜜蜂很重要。", 1),
        ("ผึ้ง", "เราชอบผึ้งมาก", 1),
        ("café", "cafe\u0301", 1),
        ("C++", "C++ and C.", 1),
        ("soft", "so\u00adft", 1),
        ("S1a2b3", "A claim [S1a2b3].", 0),
    ],
)
def test_a_banned_word_is_found_as_a_whole_word_in_any_script(
    word: str, text: str, count: int
) -> None:
    assert sum(fault.count for fault in word_faults(voice(word), text)) == count


@pytest.mark.parametrize(
    ("use", "instead_of", "text", "count"),
    [
        ("colour", "color", "Color, colors, a color.", 2),
        ("GitHub", "Github", "GitHub, Github, github", 1),
        ("e-mail address", "e-mail", "An e-mail address, an e-mail.", 1),
    ],
)
def test_another_spelling_is_found_but_not_inside_the_right_one(
    use: str, instead_of: str, text: str, count: int
) -> None:
    assert sum(fault.count for fault in word_faults(spelt(use, instead_of), text)) == count


def test_a_fault_says_what_to_do_and_where() -> None:
    (banned,) = word_faults(voice("very"), "It is very, very good.")
    (spelling,) = word_faults(spelt("colour", "color"), "A color.")

    assert banned.sentence == "“very” must not be used, 2 times: “It is very, very good.”."
    assert spelling.sentence == "Write “colour”, not “color”: “A color.”."


def test_an_excerpt_is_cut_between_words() -> None:
    (fault,) = word_faults(voice("guru"), f"{'before ' * 20}guru{' after' * 20}")

    assert fault.excerpt == f"… {'before ' * 8}guru{' after' * 9} …"


@pytest.mark.parametrize(
    "text",
    [
        "End.\n\nWrite to us today.",
        "WRITE   TO\nUS TODAY",
        "**Write to us** today!",
        "[Write to us](https://example.com) today.",
    ],
)
def test_the_call_to_action_may_be_set_and_linked_as_one_likes(text: str) -> None:
    assert has_action(voice(call_to_action="Write to us today."), text)
    assert has_action(voice(call_to_action="Write to us today: https://example.com"), text)


def test_a_missing_call_to_action_is_a_fault_only_where_one_is_wanted() -> None:
    assert action_fault(voice(), "Text") is None
    fault = action_fault(voice(call_to_action="Write to us."), "Text")
    assert fault is not None
    assert fault.sentence == "The call to action is missing: “Write to us.”."


@given(st.text(min_size=1, max_size=80), st.text(max_size=400))
def test_no_word_and_no_text_break_the_check(word: str, text: str) -> None:
    made = Voice.model_construct(
        name="n", banned_words=(word,), spelling=(), links=(), call_to_action=word
    )

    for fault in word_faults(made, text):
        assert fault.count > 0
    has_action(made, text)


def test_a_long_text_is_checked_for_many_words_in_good_time() -> None:
    many = voice(
        *(f"word{n} thing" for n in range(100)),
        spelling=[Spelling(use=f"colour{n}", instead_of=f"color{n}") for n in range(100)],
    )
    text = "An ordinary sentence with https://example.com/x in it [S1a2b3]. " * 1_500 + "Color7."

    began = time.process_time()
    faults = word_faults(many, text)

    assert [fault.found for fault in faults] == ["color7"]
    assert time.process_time() - began < 1.0  # seconds; about 0.1 on a laptop


def test_pages_of_ones_own_stay_linked_and_others_go() -> None:
    text = "# T\n\nSee [shop](https://example.com/shop) and [x](https://attacker.example/)."
    own = voice(links=[HouseLink(title="Shop", url="https://example.com/shop")])

    article = article_of(RunSpec(topic="T", voice=own), {"editor": AgentOutput(text=text)})
    without = article_of(RunSpec(topic="T"), {"editor": AgentOutput(text=text)})

    assert article is not None
    assert without is not None
    assert "](https://example.com/shop)" in article.markdown
    assert "attacker" not in article.markdown
    assert "Left out: 1 address not among the sources" in article.labels
    assert "example.com/shop" not in without.markdown


def posts(text: str) -> dict[str, object]:
    return {"posts": [{"platform": "x", "variant": "b", "text": text, "hashtags": ["Guru"]}]}


def test_readers_see_every_fault_with_where_it_stands() -> None:
    house = voice("guru", call_to_action="Write to us.")

    view = voice_view(house, "A guru.", posts("Fine. Write to us."))

    assert [(fault["where"], fault["kind"]) for fault in view["faults"]] == [
        ("Article", "banned_word"),
        ("Article", "call_to_action"),
        ("X, variant B", "banned_word"),
    ]
    assert view["call_to_action"] == {"article": False, "posts": 1, "of_posts": 1}


def test_what_was_checked_is_said_when_nothing_was_found() -> None:
    house = voice("guru", spelling=[Spelling(use="a", instead_of="b")], call_to_action="Write.")

    view = voice_view(house, "Text. Write.", None)

    assert voice_headline(view) == "nothing to mend"
    assert voice_lines(view) == [
        "1 banned word checked, nothing found.",
        "1 spelling checked, nothing found.",
        "The article has the call to action word for word.",
    ]
    assert voice_lines(voice_view(voice(), "Text.", None)) == [
        "This voice has nothing that code can check."
    ]


def test_the_editor_is_reviewed_for_the_voice_and_the_writer_is_not() -> None:
    house = voice("guru", call_to_action="Write to us.")
    review = review_of(AGENTS["editor"], house)

    assert review is not None
    remarks = review(Reviewed("A guru.", None, {}))
    assert remarks.weight == 2
    assert "must not be used" in remarks.text
    assert review_of(AGENTS["content_writer"], house) is None
    assert review_of(AGENTS["editor"]) is None


def test_posts_are_reviewed_for_length_and_voice_at_once() -> None:
    review = review_of(AGENTS["social_promoter"], voice("guru"))
    data = SocialPosts.model_validate(posts("A guru. " * 60)).model_dump()

    assert review is not None
    remarks = review(Reviewed("", data, {}))
    assert "too long" in remarks.text
    assert "X, variant B: “guru” must not be used, 61 times" in remarks.text
