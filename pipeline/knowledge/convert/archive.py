"""Open the ZIP archive that a DOCX or PPTX is, without trusting what it says of itself.

Nothing is unpacked to disk: parts are read into memory by name, each at most what was declared for
it, all together at most `Limits.max_unpacked_bytes`.
"""

from __future__ import annotations

import io
import posixpath
import zipfile
import zlib
from collections.abc import Iterator

from lxml import etree

from pipeline.errors import DocumentError
from pipeline.knowledge.convert.model import Kind, Limits

ENTRIES_MAX = 20_000
RATIO_MAX = (
    200  # of a part above `RATIO_FROM_BYTES`; XML of real documents packs to a tenth or a fiftieth
)
RATIO_FROM_BYTES = 10_000_000
READ_BYTES = 1 << 16
RELATIONSHIPS_MAX = 20_000
_ENCRYPTED_FLAG = 0x1
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # what office programs write
_MAIN_PARTS: dict[str, Kind] = {"word/document.xml": "docx", "ppt/presentation.xml": "pptx"}
_RELATIONSHIPS = "{http://schemas.openxmlformats.org/package/2006/relationships}Relationship"
_DOCTYPE = b"<!DOCTYPE"
_SCHEMAS = b"http://schemas.openxmlformats.org/"
# The names that "Strict Open XML" has for the same things.
_STRICT = {
    b"http://purl.oclc.org/ooxml/wordprocessingml/main": _SCHEMAS + b"wordprocessingml/2006/main",
    b"http://purl.oclc.org/ooxml/presentationml/main": _SCHEMAS + b"presentationml/2006/main",
    b"http://purl.oclc.org/ooxml/drawingml/main": _SCHEMAS + b"drawingml/2006/main",
    b"http://purl.oclc.org/ooxml/officeDocument/math": _SCHEMAS + b"officeDocument/2006/math",
    b"http://purl.oclc.org/ooxml/officeDocument/relationships": _SCHEMAS
    + b"officeDocument/2006/relationships",
}


def office_kind(data: bytes) -> Kind | None:
    """`None` for an archive that is neither DOCX nor PPTX. Raises `DocumentError` for a broken one."""
    with _opened(data) as archive:
        names = {info.filename for info in archive.infolist()}
    return next((kind for part, kind in _MAIN_PARTS.items() if part in names), None)


class Package:
    """The parts of an office document, by name. Raises `DocumentError` for whatever is wrong."""

    def __init__(self, data: bytes, limits: Limits) -> None:
        self._limits = limits
        self._unpacked = 0
        self._archive = _opened(data)
        entries = self._archive.infolist()
        _check_declared(entries, limits)
        self._entries = {info.filename: info for info in entries}

    def has(self, name: str) -> bool:
        return name in self._entries

    def read(self, name: str) -> bytes:
        """One part, inflated. What is inflated is counted, whatever was declared."""
        info = self._entries.get(name)
        if info is None:
            raise broken()
        found = bytearray()
        try:
            with self._archive.open(info) as part:
                while block := part.read(READ_BYTES):
                    found += block
                    self._unpacked += len(block)
                    if self._unpacked > self._limits.max_unpacked_bytes:
                        raise bomb()
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
            raise broken() from error
        return bytes(found)

    def xml(self, name: str) -> bytes:
        """One XML part, without a document type, which OOXML forbids, and with its usual names."""
        data = self.read(name)
        _check_xml(data)
        for strict, usual in _STRICT.items():
            data = data.replace(strict, usual)
        return data

    def tree(self, name: str) -> etree._Element:
        data = self.xml(name)
        try:
            return etree.fromstring(data, xml_parser())
        except etree.XMLSyntaxError as error:
            raise broken() from error

    def targets(self, part: str) -> dict[str, tuple[str, str]]:
        """Relationships of `part`: id → (last word of the type, name of the part meant).

        What points outside the archive is left out: nothing is ever fetched.
        """
        folder, base = posixpath.split(part)
        name = f"{folder}/_rels/{base}.rels" if folder else f"_rels/{base}.rels"
        if not self.has(name):
            return {}
        return dict(_internal(self.tree(name), folder))


def xml_parser() -> etree.XMLParser:
    return etree.XMLParser(
        resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False, recover=False
    )


def _check_xml(data: bytes) -> None:
    """Raises `DocumentError` for XML with a document type: entities that grow or name files."""
    if _DOCTYPE in data or _DOCTYPE.decode().encode("utf-16-le") in data:
        raise DocumentError(
            "broken",
            "The document holds definitions that no office program writes.",
            "Save it again from the program it was made with.",
        )


def _internal(tree: etree._Element, folder: str) -> Iterator[tuple[str, tuple[str, str]]]:
    for count, element in enumerate(tree.iter(_RELATIONSHIPS)):
        if count >= RELATIONSHIPS_MAX:
            raise broken()
        target = element.get("Target", "")
        if element.get("TargetMode") == "External" or not target:
            continue
        path = target.lstrip("/") if target.startswith("/") else posixpath.join(folder, target)
        kind = element.get("Type", "").rpartition("/")[2]
        yield element.get("Id", ""), (kind, posixpath.normpath(path))


def _opened(data: bytes) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise broken() from error


def _check_declared(entries: list[zipfile.ZipInfo], limits: Limits) -> None:
    if any(info.flag_bits & _ENCRYPTED_FLAG for info in entries):
        raise DocumentError(
            "encrypted",
            "The document is protected by a password.",
            "Remove the password in the program it was made with, and upload it again.",
        )
    if len({info.filename for info in entries}) < len(entries):
        raise broken()  # two parts of one name: programs would read different documents
    if any(info.compress_type not in _PACKED for info in entries):
        raise broken()
    if (
        len(entries) > ENTRIES_MAX
        or sum(info.file_size for info in entries) > limits.max_unpacked_bytes
        or any(_packs_too_well(info) for info in entries)
    ):
        raise bomb()


def _packs_too_well(info: zipfile.ZipInfo) -> bool:
    return info.file_size > max(RATIO_FROM_BYTES, info.compress_size * RATIO_MAX)


def bomb() -> DocumentError:
    return DocumentError(
        "bomb",
        "The file unpacks to far more than a document holds.",
        "If it is a real document, save it again without embedded files, or as PDF.",
    )


def broken() -> DocumentError:
    return DocumentError(
        "broken",
        "The file is damaged or was not saved completely.",
        "Save it again from the program it was made with.",
    )
