"""What a person does on the pages, each gesture with the change by which they see it was heard.

The clock is the browser's: from the event of the gesture to the first change of the DOM after
which what was asked for stands on the page, seen. Playwright's own time is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from playwright.sync_api import Locator, Page

ANSWER_MS = 30_000  # a gesture without an answer for so long is an error
HELD_MS = 60  # between pressing a button of the mouse and letting go

# Begins at the first event of the gesture, ends when an element of that kind is seen (or is not).
_STOPWATCH = """
([event, selector, text, gone, limit]) => {
  const seen = () => [...document.querySelectorAll(selector)].some(
    (e) => e.checkVisibility() && e.textContent.includes(text));
  if (seen() !== gone) throw new Error(`${selector} "${text}": it is so before the gesture`);
  window.answer = new Promise((resolve, reject) => {
    let start = null;
    document.addEventListener(
      event, (e) => { start = e.timeStamp; }, {capture: true, once: true});
    const observer = new MutationObserver(() => {
      if (start === null || seen() === gone) return;
      observer.disconnect();
      resolve(performance.now() - start);
    });
    observer.observe(document,
      {childList: true, characterData: true, attributes: true, subtree: true});
    setTimeout(() => reject(new Error(`${selector} "${text}": no answer`)), limit);
  });
  window.answer.catch(() => {});  // told where it is asked for
}
"""

UNIQUE = "q"  # stands in the topic of one run only
OFF_NOTE = "With every switch off"
_CAPTION = "[data-testid=stCaptionContainer]"


@dataclass(frozen=True)
class Gesture:
    """`act` makes a DOM event `event`; `selector` with `text` is then seen, or `gone`."""

    name: str
    act: Callable[[Page], None]
    selector: str
    text: str = ""
    gone: bool = False
    event: str = "click"


def _click(find: Callable[[Page], Locator]) -> Callable[[Page], None]:
    # what the page before left behind goes a moment after the script has run, and stands last
    return lambda page: find(page).first.click(delay=HELD_MS)


def _link(name: str) -> Callable[[Page], None]:
    return _click(lambda page: page.get_by_role("link", name=name, exact=True))


def _tab(name: str) -> Callable[[Page], None]:
    return _click(lambda page: page.get_by_role("tab", name=name, exact=True))


_flip = _click(lambda page: page.locator(".st-key-parallel_research label"))


ROUND: tuple[Gesture, ...] = (
    Gesture("flip a phase switch", _flip, _CAPTION, OFF_NOTE),
    Gesture("flip a phase switch", _flip, _CAPTION, OFF_NOTE, gone=True),
    Gesture(
        "type in the topic",
        lambda page: page.locator(".st-key-topic textarea").press("x"),
        ".st-key-topic [data-testid=InputInstructions]",
        event="keydown",
    ),
    Gesture("open History", _link("History"), "[class*=st-key-open_] button"),
    Gesture(
        "search History",
        lambda page: page.locator(".st-key-history_search input").press(UNIQUE),
        _CAPTION,
        "1 run,",
        event="keydown",
    ),
    Gesture(
        "open a run",
        _click(lambda page: page.locator("[class*=st-key-open_] button")),
        ".st-key-headline",
    ),
    Gesture("switch a result tab", _tab("SEO"), ".st-key-seo_checks"),
    Gesture("switch a result tab", _tab("Timing"), ".st-key-timing_agents"),
    Gesture("open the Knowledge base", _link("Knowledge base"), "[data-testid=stFileUploader]"),
    Gesture("back to the run", _link("Studio"), ".st-key-headline"),
    Gesture(
        "begin a new run",
        _click(lambda page: page.locator(".st-key-new_run button")),
        ".st-key-empty_state",
    ),
)


def enter(page: Page, base: str) -> None:
    """The Studio, with one switch left on: flipping it makes the page say something else."""
    page.goto(base)
    page.locator(".st-key-mode").get_by_text("Dataflow").click()
    for phase in ("enhancement", "distribution"):
        page.locator(f".st-key-parallel_{phase} label").click()
        settle(page)


def perform(page: Page) -> Iterator[tuple[str, float]]:
    """One round, from the empty Studio back to it: each gesture's name and milliseconds.

    The page's script has run when it is told.
    """
    for gesture in ROUND:
        page.evaluate(
            _STOPWATCH, [gesture.event, gesture.selector, gesture.text, gesture.gone, ANSWER_MS]
        )
        gesture.act(page)
        took_ms = float(page.evaluate("() => window.answer"))
        settle(page)
        yield gesture.name, took_ms


def settle(page: Page) -> None:
    """Until the page's script has run."""
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
