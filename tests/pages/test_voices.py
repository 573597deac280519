"""The Brand voices page and the form's field: kept by owner, chosen by id, copied into a run."""

from __future__ import annotations

import html

import pytest
from streamlit.testing.v1 import AppTest

from pages._runtime import get_runtime
from pipeline.models import LOCAL_OWNER, RunSpec
from pipeline.voice import Spelling, Voice
from tests.pages.conftest import RUN_TIMEOUT_S, sent_to_browser, shown_run

pytestmark = pytest.mark.slow

HOSTILE = "<script>alert(1)</script> :red[x] $x$ [a](javascript:alert(1))"
HOUSE = Voice(
    name="House",
    voice="Warm.",
    banned_words=("guru",),
    spelling=(Spelling(use="colour", instead_of="color"),),
    call_to_action="Write to us.",
)


@pytest.fixture
def page(app: AppTest) -> AppTest:
    app.run()
    return app.switch_page("voices.py")


def keep(voice: Voice, owner: str = LOCAL_OWNER) -> str:
    return get_runtime().voices.add(owner, voice).id


def kept() -> list[Voice]:
    return [preset.voice for preset in get_runtime().voices.listed(LOCAL_OWNER)]


def test_a_page_without_voices_invites(page: AppTest) -> None:
    page.run()

    assert not page.exception
    assert "no brand voices yet" in page.info[0].value


def test_a_voice_is_written_down_and_kept(page: AppTest) -> None:
    page.run()
    page.button(key="voice_new").click().run()
    page.text_input(key="name_new").input("House")
    page.text_area(key="sounds_new").input("Warm.")
    page.text_area(key="banned_new").input("guru\n\n")
    page.text_area(key="spelling_new").input("colour = color")
    page.text_input(key="action_new").input("Write to us.")
    page.button(key="voice_save").click().run()

    assert not page.exception
    assert kept() == [HOUSE]


def test_what_cannot_be_kept_is_said_where_it_was_typed(page: AppTest) -> None:
    page.run()
    page.button(key="voice_new").click().run()
    page.text_area(key="spelling_new").input("colour")
    page.button(key="voice_save").click().run()

    assert "colour = color" in page.error[0].value
    assert page.text_area(key="spelling_new").value == "colour"
    assert kept() == []


def test_a_voice_is_changed_copied_and_deleted(page: AppTest) -> None:
    voice = keep(HOUSE)
    page.run()

    page.button(key=f"edit_{voice}").click().run()
    assert page.text_area(key=f"spelling_{voice}").value == "colour = color"
    page.text_input(key=f"audience_{voice}").input("Owners")
    page.button(key="voice_save").click().run()
    page.button(key=f"duplicate_{voice}").click().run()
    assert [(one.name, one.audience) for one in kept()] == [
        ("House", "Owners"),
        ("House (copy)", "Owners"),
    ]

    page.button(key=f"delete_{voice}").click().run()
    page.button(key="delete_yes").click().run()

    assert not page.exception
    assert [one.name for one in kept()] == ["House (copy)"]


def test_strangers_voices_are_not_there(page: AppTest) -> None:
    foreign = keep(HOUSE.model_copy(update={"name": "Quokka"}), owner="somebody else")
    page.run()

    assert "Quokka" not in sent_to_browser(page)
    assert get_runtime().voices.duplicate(LOCAL_OWNER, foreign) is None


def test_a_hostile_voice_is_text(page: AppTest) -> None:
    keep(Voice(name=HOSTILE[:80], voice=HOSTILE))

    page.run()

    assert not page.exception
    assert not [m for m in page.markdown if "javascript:alert(1))" in m.value and "](" in m.value]


def test_a_run_takes_a_copy_of_the_voice_and_says_what_code_found(app: AppTest) -> None:
    voice = keep(HOUSE)
    app.run()
    app.text_area(key="topic").input("Urban bees")
    app.selectbox(key="voice").set_value(voice)
    app.button(key="run").click().run()
    run_id = shown_run(app)
    get_runtime().voices.delete(LOCAL_OWNER, voice)
    record = get_runtime().wait(run_id, RUN_TIMEOUT_S)
    app.run()

    assert not app.exception
    assert record is not None
    assert record.spec.voice == HOUSE
    assert "Brand voice House: nothing to mend" in [
        html.unescape(e.label).replace("\\", "") for e in app.expander
    ]
    assert app.selectbox(key="voice").value == ""


def test_a_choice_that_is_gone_is_no_choice(app: AppTest) -> None:
    keep(HOUSE)
    app.run()
    app.session_state["voice"] = "gone"

    app.run()

    assert not app.exception
    assert app.selectbox(key="voice").value == ""


@pytest.mark.parametrize(
    ("become", "chosen", "said"),
    [
        (HOUSE, True, ""),
        (HOUSE.model_copy(update={"voice": "Cold."}), True, "was changed since that run"),
        (HOUSE.model_copy(update={"name": "Other"}), False, "is not among yours"),
    ],
)
def test_running_again_chooses_the_voice_as_it_is_now(
    app: AppTest, become: Voice, chosen: bool, said: str
) -> None:
    voice = keep(HOUSE)
    run_id = get_runtime().submit(RunSpec(topic="Urban bees", speed="instant", voice=HOUSE))
    get_runtime().cancel(run_id)
    get_runtime().voices.change(LOCAL_OWNER, voice, become)
    app.run()
    history = app.switch_page("history.py").run()

    history.button(key=f"again_{run_id}").click().run()

    assert not app.exception
    assert app.selectbox(key="voice").value == (voice if chosen else "")
    assert any(said in note.value for note in app.info) or not said
