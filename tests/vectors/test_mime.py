"""Corpora of messages: none breaks the index, offsets agree with mail-parser, clients can read the texts."""

import email
import json

import pytest

from postroad.mail.mime import Kind, find_section, index
from postroad.mail.render import render
from postroad.testing.imap_text import parse_imap
from postroad.testing.vectors import files
from postroad.testing.vectors import testdata as vectors

MESSAGES = files("mime/mail-gem", "*") + files("mime/cpython", "*") + files("mime/mail-parser/eml", "*.eml")

# Messages of mail-parser whose parts we cut differently, and why.
DIFFERENT = {
    "legacy/049": "mail-parser leaves out a last line feed of the LF form",
    "malformed/001": "delimiter lines in a header: the part ends there, as RFC 2046 §5.1.2 asks",
    "malformed/007": "a multipart with no delimiter line behind its header is shown as text",
    "malformed/008": "an inner multipart that is never closed ends where the outer one goes on",
    "malformed/011": "parts behind the closing delimiter of an inner multipart belong to the outer one",
    "malformed/019": "an inner multipart that is never closed ends with the message, its last line feed included",
    "malformed/020": "a delimiter line may be followed by white space (RFC 2046 §5.1.1), so there are more parts",
    "malformed/022": "message/rfc822 without a header is a message still, and ends at the delimiter line",
    "thirdparty/015": "a message/rfc822 whose multipart is never closed ends where the outer delimiter stands",
}

# Messages where Python's parser sees another tree, though no delimiter is in doubt.
PYTHON_DIFFERS = {
    "msg_15.txt": "the inner boundary begins with the outer one",
    "msg_37.txt": "two delimiter lines in a row: an empty part, which Python drops",
    "msg_39.txt": "one boundary for two levels",
    "attachment_message_rfc822_inline_image.eml": "a message/rfc822 in base64",
    "thirdparty/012": "the same",
}


@pytest.mark.skipif(not MESSAGES, reason="no published vectors mime: set POSTROAD_TESTDATA")
@pytest.mark.parametrize("ending", [b"\n", b"\r\n"], ids=["lf", "crlf"])
def test_every_message_renders_to_what_clients_can_read(ending):
    for path in MESSAGES:
        content = with_ending(path.read_bytes(), ending)
        rendering = render(content)
        assert len(parse_imap(rendering.envelope)) == 10, path
        structure = parse_imap(rendering.bodystructure)
        assert strip_extensions(structure) == parse_imap(rendering.body), path
        check_offsets(content, rendering, structure)
        assert rendering.header_size == find_section(rendering.sections, ()).body_start


def test_offsets_agree_with_mail_parser():
    vectors("mime/mail-parser/eml")
    differing = set()
    for path in files("mime/mail-parser/eml", "*.eml"):
        for suffix, ending in ((".json", b"\n"), (".crlf.json", b"\r\n")):
            expectation = path.with_suffix(suffix)
            if expectation.exists():
                parts = json.loads(expectation.read_text())["parts"]
                expected = sorted((part["offset_header"], part["offset_body"], part["offset_end"]) for part in parts)
                if expected != sorted(flat(index(with_ending(path.read_bytes(), ending)))):
                    differing.add(f"{path.parent.name}/{path.stem}")
    assert differing == set(DIFFERENT)


def test_well_formed_trees_agree_with_python():
    vectors("mime")
    wrong = []
    for path in MESSAGES:
        content = with_ending(path.read_bytes(), b"\r\n")
        message = email.message_from_bytes(content)
        if any(part.defects for part in message.walk()) or is_explained(path):
            continue
        if tree(index(content)) != python_tree(message):
            wrong.append(path.name)
    assert wrong == []


def is_explained(path):
    return any(f"{path.parent.name}/{path.name}".endswith((name, f"{name}.eml")) for name in PYTHON_DIFFERS)


def with_ending(content, ending):
    return content.replace(b"\r\n", b"\n").replace(b"\n", ending)


def flat(part):
    yield part.header_start, part.body_start, part.body_end
    if part.kind is not Kind.MESSAGE:
        for child in part.children:
            yield from flat(child)


def tree(part):
    kind = part.content_type
    children = [tree(child) for child in part.children]
    return f"{kind.type.decode()}/{kind.subtype.decode()}".lower(), children


def python_tree(message):
    is_opaque = message.get_content_maintype() == "message" and message.get_content_type() != "message/rfc822"
    children = message.get_payload() if message.is_multipart() and not is_opaque else []
    return message.get_content_type(), [python_tree(child) for child in children]


def strip_extensions(structure):
    """BODYSTRUCTURE to BODY."""
    if isinstance(structure[0], list):
        count = next(i for i, value in enumerate(structure) if not isinstance(value, list))
        return [strip_extensions(child) for child in structure[:count]] + [structure[count]]
    if structure[0] == b"MESSAGE" and structure[1] == b"RFC822":
        return [*structure[:8], strip_extensions(structure[8]), structure[9]]
    return structure[: 8 if structure[0] == b"TEXT" else 7]


def check_offsets(content, rendering, structure, path=()):
    """Each leaf's size is that of its section, as a client would ask for it."""
    if isinstance(structure[0], list):
        for number, child in enumerate(
            [value for value in structure if isinstance(value, list)][: count(structure)], 1
        ):
            check_offsets(content, rendering, child, (*path, number))
        return
    section = find_section(rendering.sections, path or (1,))
    assert section is not None
    assert 0 <= section.header_start <= section.body_start <= section.body_end <= len(content)
    assert section.body_end - section.body_start == structure[6]
    if section.kind is Kind.MESSAGE and not isinstance(structure[8][0], list):
        check_offsets(content, rendering, structure[8], (*(path or (1,)), 1))


def count(structure):
    return next(i for i, value in enumerate(structure) if not isinstance(value, list))
