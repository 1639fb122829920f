"""The reader of requests: whatever clients write comes out in one shape, or is refused with the fields named."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.web.postmark import request
from postroad.web.postmark.errors import ApiError
from postroad.web.postmark.request import FileRequest, SendRequest, read_json, read_message, text_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from([
    "From", "to", "CC", "bCC", "ReplyTo", "subject", "Tag", "TextBody", "HTMLBody", "MessageStream", "TrackOpens",
    "trackLinks", "headers", "Metadata", "Attachments", "X",
])  # fmt: skip


@pytest.mark.parametrize(
    "spell", [str, str.lower, str.upper, lambda name: name[0].lower() + name[1:], lambda name: name.swapcase()]
)
def test_keys_in_any_case(spell):
    assert read_message({
        spell("From"): "a@b.test", spell("HtmlBody"): "<p>", spell("ReplyTo"): "r@b.test", spell("MessageStream"): "s",
        spell("Headers"): [{spell("Name"): "X-A", spell("Value"): "1"}], spell("Unknown"): {"what": "ever"},
        spell("Attachments"): [{spell("Name"): "n", spell("ContentType"): "t/t", spell("ContentID"): "cid:x",
                                spell("Content"): "QQ=="}],
    }) == SendRequest(
        sender="a@b.test", html="<p>", reply_to="r@b.test", stream="s", headers=[("X-A", "1")],
        attachments=[FileRequest("n", "QQ==", "t/t", "cid:x")],
    )  # fmt: skip


@pytest.mark.parametrize("nothing", [None, "", []])
def test_nothing_is_nothing(nothing):
    names = ("Cc", "Tag", "TrackOpens", "TrackLinks", "Metadata", "Headers", "Attachments", "HtmlBody")
    wanted = {name: nothing for name in names if not (nothing == "" and name in ("Metadata", "Headers", "Attachments"))}
    assert read_message(wanted) == SendRequest()


@pytest.mark.parametrize(
    ("given", "field", "found"),
    [
        ({"TrackOpens": True}, "track_opens", True),
        ({"TrackOpens": "true"}, "track_opens", True),
        ({"TrackOpens": "False"}, "track_opens", False),
        ({"TrackOpens": 1}, "track_opens", True),
        ({"Tag": 17}, "tag", "17"),
        ({"Metadata": {"n": 1, "b": True, "s": "x", "none": None}}, "metadata", {"n": "1", "b": "true", "s": "x"}),
        ({"Headers": {}}, "headers", []),
        ({"Headers": [{"Name": "X-Number", "Value": 5}]}, "headers", [("X-Number", "5")]),
    ],
)
def test_loose_types(given, field, found):
    assert getattr(read_message(given), field) == found


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"From": ["a@b.test"], "to": {"a": 1}}, "'From', 'To'"),
        ({"TrackOpens": "perhaps"}, "'TrackOpens'"),
        ({"Headers": [["X-A", "1"]]}, "'Headers'"),
        ({"Metadata": "no"}, "'Metadata'"),
        ({"Metadata": {"a": {"b": "c"}}}, "'Metadata'"),
        ({"Attachments": ["file"]}, "'Attachments'"),
        ({"Subject": True}, "'Subject'"),
    ],
)
def test_wrong_types_are_named(given, names):
    with pytest.raises(ApiError) as caught:
        read_message(given)
    assert (caught.value.status, caught.value.code) == (422, 403)
    assert caught.value.text == f"Invalid request field(s): {names}."


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"\xef\xbb\xbf {}", {}),
        (rb'"cut \ud83d"', "cut �"),
        (rb'"\ude00\ud83d\ude00\\ud83d"', "�😀\\ud83d"),
        (bytearray(b"[1]"), [1]),
    ],
)
def test_json_that_others_refuse(body, found):
    assert read_json(body) == found


@pytest.mark.parametrize("body", [b"", b"  ", b"{", b"nonsense", b'{"a":NaN}', b"\xff", b'"\xff"', b"[" * 200_000])
def test_what_is_no_json(body):
    with pytest.raises(ApiError) as caught:
        read_json(body)
    assert (caught.value.status, caught.value.code) == (422, 402)
    assert caught.value.text.startswith("Invalid JSON: ")


def test_many_small_values_are_more_than_their_octets(monkeypatch):
    monkeypatch.setattr(request, "MAX_MARKS", 1000)
    texts = json.dumps({"TextBody": '[{"a":1},' * 1000, "To": "\\" * 999}).encode()
    assert read_json(texts) == json.loads(texts)  # what stands in a text is no value
    assert len(read_json(b"[" + b"[]," * 499 + b"[]]")) == 500
    bombs = (b"[]," * 500, b'{"":0},' * 400, b"1," * 1000, b'"",' * 500, b'"\\"",' * 500)
    for bomb in bombs:
        with pytest.raises(ApiError, match="too many values"):
            read_json(b"[" + bomb + b"0]")


@pytest.mark.timeout(20)
@pytest.mark.parametrize("piece", [b'"', b'\\"', b"\\", b'"\\', b'""', b'"[', b"1 "])
def test_values_are_counted_in_one_pass(piece):
    with pytest.raises(ApiError):
        read_json(b'"' + piece * (3_000_000 // len(piece)))


@given(st.dictionaries(NAMES | st.text(max_size=8), JSON, max_size=8) | JSON)
def test_any_json_is_read_or_refused(given):
    try:
        request = read_message(read_json(json.dumps(given).encode()))
    except ApiError as problem:
        assert problem.code in (402, 403)  # noqa: PT017 - or it is read
        return
    for name in ("sender", "to", "subject", "text", "html", "stream"):
        assert type(getattr(request, name)) is str
    assert all(type(name) is str and type(value) is str for name, value in request.headers)
    assert type(text_of(given, "to")) is str


def test_the_echo_of_nonsense():
    assert text_of({"TO": "a@b.test", "From": 5}, "to") == "a@b.test"
    assert text_of({"to": ["a"]}, "to") == text_of("To", "to") == text_of(None, "to") == ""
