"""The knowledge base in a real Chromium: files in, progress, search, reading, and an article that cites them."""

from __future__ import annotations

from io import BytesIO

import docx
import pptx
import pytest
import typst
from playwright.sync_api import FilePayload, Page, expect

from tests.browser.test_contrast import too_pale
from tests.browser.test_studio import DATA, finished, start

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

READ_MS = 90_000
TOPIC = "Heat pumps in old buildings"
SENTENCE = "Forty heat pumps in old buildings reached a seasonal performance factor of 2.9."
MORE = (
    "A heat pump in an old building works best when its radiators are large and its walls are dry.",
    "The heat pumps in old buildings that were too large switched on and off forty times a day.",
    "Maintenance of a heat pump in an old building took one hour of work every year in this study.",
)
expect.set_options(timeout=20_000)


@pytest.fixture
def knowledge(page: Page) -> Page:
    """The Knowledge base page. Documents of other tests may stand on it: all visitors are `local`."""
    page.goto("/knowledge")
    page.locator("[data-testid=stFileUploader]").wait_for()
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    return page


def add(page: Page, *files: FilePayload) -> None:
    """Add files and wait until they have been read."""
    listed = page.locator(".st-key-uploads")
    if listed.count():  # what became of earlier files
        listed.get_by_role("button", name="Got it").click()
        expect(listed).to_have_count(0)
    page.locator("input[type=file]").set_input_files(list(files))
    expect(listed.get_by_role("button", name="Got it")).to_be_visible(timeout=READ_MS)


def text_file(name: str, text: str) -> FilePayload:
    return {"name": name, "mimeType": "text/plain", "buffer": text.encode()}


def word() -> FilePayload:
    document = docx.Document()
    document.add_heading("Field study", 1)
    for sentence in (SENTENCE, *MORE):
        document.add_heading("Results", 2)
        document.add_paragraph(sentence)
    return _file("study.docx", document)


def deck() -> FilePayload:
    slides = pptx.Presentation()
    slide = slides.slides.add_slide(slides.slide_layouts[1])
    slide.shapes.title.text = "Radiators"
    slide.placeholders[1].text = "Larger radiators lower the flow temperature of a heat pump."
    return _file("deck.pptx", slides)


def _file(name: str, document: object) -> FilePayload:
    written = BytesIO()
    document.save(written)  # type: ignore[attr-defined]
    return {"name": name, "mimeType": "application/octet-stream", "buffer": written.getvalue()}


def pdf() -> FilePayload:
    source = "= Noise\nThe outdoor unit of a heat pump is as loud as a refrigerator.\n#pagebreak()\n= Costs\nFour radiators cost 2,400 euros in 2024."
    made = typst.compile(source.encode())
    return {"name": "noise.pdf", "mimeType": "application/pdf", "buffer": made}


def search(page: Page, query: str) -> None:
    page.get_by_role("tab", name="Try a search").click()
    field = page.get_by_label("Search your documents")
    field.fill(query)
    field.press("Enter")


def test_files_of_every_kind_are_read_found_and_deleted(knowledge: Page) -> None:
    page_text = "<html><head><title>Bees</title></head><body><p>Bees in the city find flowers.</p></body></html>"
    expect(knowledge.get_by_text("There are no documents yet")).to_be_visible()
    add(
        knowledge,
        word(),
        deck(),
        pdf(),
        text_file("bees.html", page_text),
        text_file("notes.md", "# Notes\n\nInsulate the top ceiling first."),
        text_file("broken.pdf", "%PDF-1.7\nnot really"),
    )

    uploads = knowledge.locator(".st-key-uploads")
    expect(uploads).to_contain_text("5 of 6 files can be searched now.")
    expect(uploads).to_contain_text("broken.pdf")
    expect(uploads).to_contain_text("not added")
    expect(knowledge.locator(".st-key-documents [class*=st-key-document_]")).to_have_count(5)

    search(knowledge, "radiators cost euros")
    found = knowledge.locator("[class*=st-key-found_]").first
    expect(found).to_contain_text("Page 2")
    expect(found.locator("mark", has_text="radiators")).to_be_visible()

    knowledge.get_by_role("tab", name="Documents").click()
    knowledge.locator("[class*=st-key-read_] button").first.click()
    expect(knowledge.get_by_role("dialog").locator(".passage").first).to_be_visible()
    knowledge.keyboard.press("Escape")
    knowledge.locator(".st-key-delete_all button").click()
    knowledge.locator(".st-key-delete_all_yes button").click()
    expect(knowledge.get_by_text("There are no documents yet")).to_be_visible()


def test_an_article_cites_a_document_of_ones_own(knowledge: Page) -> None:
    add(knowledge, word())

    knowledge.goto("/")
    knowledge.locator(".st-key-run button").wait_for()
    start(knowledge, TOPIC)
    finished(knowledge)

    article = knowledge.locator(".st-key-article")
    expect(article).to_contain_text("Field study: “Forty heat pumps in old buildings")


def test_hostile_documents_and_names_are_text(knowledge: Page) -> None:
    """Every payload of the lists as text of one document; `context` fails on a dialog or an outside request."""
    lines = [line for name in ("xss.txt", "inject.txt") for line in payloads(name)]
    name = f"{lines[0].replace('/', '').replace(chr(92), '')[:80]}.md"
    add(knowledge, text_file(name, "\n\n".join([f"# {lines[0]}", *lines, "Pumps are quiet."])))

    search(knowledge, "quiet pumps")
    expect(knowledge.locator("[class*=st-key-found_] .passage").first).to_contain_text("quiet")
    knowledge.get_by_role("tab", name="Documents").click()
    knowledge.locator("[class*=st-key-read_] button").first.click()
    shown = knowledge.get_by_role("dialog").locator(".passage")
    expect(shown.first).to_be_visible()

    text = " ".join(" ".join(shown.all_inner_texts()).split())
    missing = [line for line in lines if " ".join(line.split())[:60] not in text]
    assert missing == []
    assert knowledge.locator(".passage *:not(mark)").count() == 0


def payloads(name: str) -> list[str]:
    """Those of a list that a text file can hold on one line; a column says where each is from."""
    found = [line.split("\t")[-1] for line in (DATA / name).read_text("utf-8").splitlines()]
    return [line for line in found if line.strip() and not line.startswith("#")]


@pytest.mark.parametrize(
    "context",
    [
        {"color_scheme": "dark", "viewport": {"width": 1280, "height": 900}},
        {"color_scheme": "light", "viewport": {"width": 390, "height": 844}},
    ],
    indirect=True,
    ids=["dark", "phone"],
)
def test_it_can_be_read_in_both_themes_and_on_a_phone(knowledge: Page) -> None:
    add(knowledge, word(), text_file("empty.txt", " "))
    search(knowledge, "forty heat pumps")
    expect(knowledge.locator("[class*=st-key-found_] mark").first).to_be_visible()

    assert too_pale(knowledge) == []
    wide = knowledge.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0
