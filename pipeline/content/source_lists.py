"""Find lists of sources that a model wrote, wherever they stand: the list is made by code.

A list is a section, or lines under a label, whose title says so; definitions (`[1]: …`, `[^1]: …`); or
entries that begin with a number in brackets. Prose under such a title is only taken for one when its
lines look like entries. Code is left alone.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence

from pipeline.content.prose import map_unfenced


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_TITLES = _set(
    "source sources reference references bibliography citation citations endnote endnotes footnote "
    "footnotes works·cited work·cited further·reading works·consulted notes links web·links "
    "quelle quellen quellenverzeichnis quellenangaben quellenangabe quellennachweise quellennachweis "
    "literatur literaturverzeichnis literaturhinweise literaturangaben einzelnachweise nachweise belege "
    "referenzen fußnoten weblinks weiterführende·literatur "
    "fuente fuentes referencia referencias bibliografía bibliografia notas notas·al·pie enlaces "
    "référence références bibliographie notes·de·bas·de·page sources·et·références liens "
    "fonte fonti riferimenti riferimenti·bibliografici bibliografia note sitografia "
    "fontes referências referência bronnen bron literatuur literatuurlijst referenties voetnoten "
    "źródło źródła bibliografia przypisy literatura источник источники литература ссылки примечания "
    "список·литературы джерела література посилання källor källa referenser kilder kilde lähteet kaynaklar "
    "kaynakça zdroje zdroj literatúra források irodalom surse referințe πηγές βιβλιογραφία "
    "参考文献 参考资料 参考資料 来源 來源 资料来源 資料來源 出典 引用文献 注释 脚注 참고문헌 참고·문헌 출처 "
    "المصادر المراجع מקורות स्रोत संदर्भ แหล่งที่มา nguồn tài·liệu·tham·khảo sumber daftar·pustaka"
)
_WEAK = _set("notes notas note links enlaces liens weblinks")
_QUALIFIERS = _set(
    "the our my all list of cited quoted used selected key main additional primary and und et y e & "
    "und/oder der die das les las los le la liste des verwendete further more related"
)
_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(.*)")
_UNDERLINE = re.compile(r" {0,3}(=+|-{2,})[ \t]*")
_LABEL = re.compile(
    r"[ \t>*+\-]{0,8}[*_]{0,3}(?P<title>[^:：\n\[\]]{2,60}?)[*_]{0,3}\s?[:：][*_]{0,3}(?P<rest>.*)"
)
_BOLD = re.compile(r"[ \t>]{0,8}(\*\*|__)(?P<title>[^*_\n]{2,60})\1[ \t]*")
_DEFINITION = re.compile(r"[ \t>]{0,8}\\?\[(?P<label>\^?[^\[\]\n]{1,80})\\?\]:[ \t]*\S?.*")
_ENTRY = re.compile(
    r"[ \t>]{0,8}(?:[-*+•][ \t]+|\d{1,3}[.)][ \t]+)?\*{0,2}"
    r"(?:\\?[\[【［(]\^?(?:\d{1,3}|S[0-9a-fA-F]{1,12})\\?[\]】］)](?!\()|\^\d{1,3}\b|[¹²³⁴-⁹][⁰¹²³⁴-⁹]?\s)"
    r"\*{0,2}[.:]?[ \t]+\S.*"
)
_LIST_LINE = re.compile(r"[ \t>]{0,8}(?:[-*+•][ \t]+|\d{1,3}[.)][ \t]+)\S.*")
_SIGN = re.compile(
    r"https?[:%&]|www\.|\bdoi\b|\bS[0-9a-f]{5,10}\b|\[\^?[\dS][^\]\n]{0,12}\]|【|\b(?:19|20)\d\d\b|\bISBN\b"
    r"|\bet al\b|^[ \t>]*[-*+•]|^[ \t>]*\d{1,3}[.)]",
    re.IGNORECASE,
)

_IDS = re.compile(r"\[\s*S[0-9a-fA-F]{1,12}(?:\s*[,;]\s*S[0-9a-fA-F]{1,12})*\s*\]")

Found = Callable[[str], None]  # is told each list as it was written


def cut_source_lists(text: str, found: Found) -> tuple[str, frozenset[str]]:
    """The text without such lists, and the labels that definitions in them had."""
    labels: set[str] = set()

    def cut(block: str) -> str:
        lines = block.split("\n")
        kept: list[str] = []
        position = 0
        while position < len(lines):
            end = _list_end(lines, position, labels)
            if end == position:
                kept.append(lines[position])
                position += 1
                continue
            found("\n".join(lines[position:end]))
            position = end
        if len(kept) == len(lines):
            return block
        left = "\n".join(kept)
        return f"{left.rstrip()}\n" if left.endswith("\n\n") else left

    return map_unfenced(text, cut), frozenset(labels)


def is_sources_title(title: str) -> bool:
    """True for "Sources", "7. Quellen und Literatur", "📚 References used"."""
    said = _words(title)
    words = [word for word in said if word not in _QUALIFIERS]
    joined = {"·".join(said), "·".join(words)}
    return bool(joined & _TITLES) or (bool(words) and all(word in _TITLES for word in words))


def _words(title: str) -> list[str]:
    plain = unicodedata.normalize("NFC", title).casefold()
    if len(plain) > 60:
        return []
    words = re.split(r"[\s/,]+", re.sub(r"[^\w\s&/,]+|[\d_]+", " ", plain).strip())
    return [word for word in words if word][:6]


def _is_weak(title: str) -> bool:
    """True for titles that other sections have as well."""
    return set(_words(title)) <= _WEAK | _QUALIFIERS


def _list_end(lines: Sequence[str], start: int, labels: set[str]) -> int:
    """Where the list that begins at line `start` ends; `start` when none does."""
    line = lines[start]
    if definition := _DEFINITION.fullmatch(line):
        labels.add(" ".join(definition["label"].casefold().split()))
        return _after_indented(lines, start + 1)
    if title := _title_at(lines, start):
        level, words, body = title
        if is_sources_title(words):
            return _section_end(lines, body, level, words) or start
        return start
    if _ENTRY.fullmatch(line):
        return _entries_end(lines, start)
    label = _LABEL.fullmatch(line)
    if label and is_sources_title(label["title"]) and not _is_weak(label["title"]):
        return _labelled_end(lines, start, label["rest"])
    return start


def _title_at(lines: Sequence[str], at: int) -> tuple[int, str, int] | None:
    """Level, words and first line of the body, for a heading or a line that is all bold."""
    line = lines[at]
    if heading := _HEADING.fullmatch(line):
        return len(heading[1]), heading[2].rstrip("# \t"), at + 1
    if at + 1 < len(lines) and line.strip() and (under := _UNDERLINE.fullmatch(lines[at + 1])):
        return (1 if under[1][0] == "=" else 2), line, at + 2
    if bold := _BOLD.fullmatch(line):
        return 7, bold["title"], at + 1
    return None


def _section_end(lines: Sequence[str], body: int, level: int, words: str) -> int:
    """The end of a section of sources; 0 when what stands in it is prose."""
    end = body
    while end < len(lines):
        title = _title_at(lines, end)
        if (title and title[0] <= level) or _is_cited_prose(lines[end]):
            break
        if level == 7 and lines[end].strip() and not _looks_like_entry(lines[end]):
            break
        end += 1
    held = [line for line in lines[body:end] if line.strip()]
    entries = sum(_looks_like_entry(line) for line in held)
    is_last = not any(line.strip() for line in lines[end:])
    weak = _is_weak(words) or level == 1  # an article may be called so
    if is_last and not weak and level < 7:
        return end
    return end if (held and 2 * entries >= len(held)) or (not held and not weak) else 0


def _is_cited_prose(line: str) -> bool:
    """A sentence that cites is the article's again, whatever heading it stands under."""
    cites = _IDS.search(line)
    return bool(cites) and not _LIST_LINE.match(line) and not _ENTRY.match(line)


def _looks_like_entry(line: str) -> bool:
    return bool(_SIGN.search(line))


def _entries_end(lines: Sequence[str], start: int) -> int:
    """Lines that begin with a number in brackets: at least two, or one that names an address."""
    end = start
    while end < len(lines) and (_ENTRY.fullmatch(lines[end]) or _is_blank_between(lines, end)):
        end = _after_indented(lines, end + 1)
    entries = [line for line in lines[start:end] if line.strip()]
    alone = len(entries) == 1 and not re.search(r"https?:|www\.|\bdoi\b|(?:19|20)\d\d", entries[0])
    return start if alone else end


def _is_blank_between(lines: Sequence[str], at: int) -> bool:
    after = at + 1
    return not lines[at].strip() and after < len(lines) and bool(_ENTRY.fullmatch(lines[after]))


def _labelled_end(lines: Sequence[str], start: int, rest: str) -> int:
    """ "Sources: …" on one line, or with a list below it."""
    end = start + 1
    below = end
    while below < len(lines) and not lines[below].strip():
        below += 1
    listed = below
    while listed < len(lines) and (_LIST_LINE.fullmatch(lines[listed]) or _ENTRY.fullmatch(lines[listed])
                                   or re.match(r"\s{0,4}<?(?:https?:|www\.)", lines[listed])):  # fmt: skip
        listed = _after_indented(lines, listed + 1)
    if not rest.strip() and listed > below:
        return listed
    if not rest.strip():
        return end if all(not line.strip() for line in lines[end:]) else start
    # an id beside a table says where the table is from
    return end if _looks_like_entry(_IDS.sub("", rest)) else start


def _after_indented(lines: Sequence[str], at: int) -> int:
    """Past the indented lines that belong to the one before."""
    while (
        at < len(lines)
        and re.match(r"(?: {2,}|\t)\S", lines[at])
        and not _LIST_LINE.match(lines[at])
    ):
        at += 1
    return at
