"""Postmark's client for Node and nodemailer's Postmark transport, pointed at us by host alone."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from tests.interop.senders import ALICE, BOB, GONE, PIXEL, WRONG_TOKEN, node_folder

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def found(sending):
    """What each case of both clients came to."""
    modules = node_folder("postmark", "nodemailer", "nodemailer-postmark-transport")
    given = {
        "host": sending.http.partition("//")[2], "secureHost": sending.https.partition("//")[2], "token": sending.token,
        "wrong": WRONG_TOKEN, "from": ALICE, "to": BOB, "gone": GONE, "pixel": PIXEL,
    }  # fmt: skip
    script = Path(__file__).parent / "node" / "clients.js"
    env = {**os.environ, "NODE_PATH": str(modules), "NODE_EXTRA_CA_CERTS": str(sending.ca)}
    command = ["node", str(script), json.dumps(given)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False, env=env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def answer(case):
    assert "answer" in case, case
    return case["answer"]


def test_postmark_sends(sending, found):
    sent = answer(found["postmark"]["full"])
    assert (sent["ErrorCode"], sent["Message"], sent["To"]) == (0, "OK", BOB)
    mail = sending.mail(sent["MessageID"])
    assert (mail["subject"], mail["x-order"], mail["cc"]) == ("Grüße", "17", f"Carol Ü <{ALICE}>")
    assert [part["content-id"] for part in mail.walk() if part["content-id"]] == ["<p>"]
    assert answer(found["postmark"]["https"])["ErrorCode"] == 0


def test_postmark_sends_batches(found):
    codes = [each["ErrorCode"] for each in answer(found["postmark"]["batch"])]
    assert codes == [0, 406, 300]
    assert answer(found["postmark"]["batch of 500"]) == 500


@pytest.mark.parametrize(
    ("case", "error", "code", "status"),
    [
        ("wrong token", "InvalidAPIKeyError", 10, 401),
        ("inactive", "InactiveRecipientsError", 406, 422),
        ("foreign from", "ApiInputError", 400, 422),
        ("many", "InvalidEmailRequestError", 300, 422),
        ("no body", "InvalidEmailRequestError", 300, 422),
        ("missing", "PostmarkError", 404, 404),
    ],
)
def test_postmark_tells_what_is_wrong(found, case, error, code, status):
    told = found["postmark"][case]
    assert (told.get("error"), told.get("code"), told.get("status")) == (error, code, status), told
    if case == "inactive":
        assert told["recipients"] == [GONE]


def test_postmark_learns_of_recipients_left_out(found):
    assert f"inactive addresses: {GONE}." in answer(found["postmark"]["some inactive"])["Message"]


def test_postmark_reads_server_and_suppressions(found):
    assert answer(found["postmark"]["server"])["Name"] == "shop"
    assert answer(found["postmark"]["suppress"])["Suppressions"][0]["Status"] == "Suppressed"
    assert [each["EmailAddress"] for each in answer(found["postmark"]["dump"])["Suppressions"]] == ["js@example.com"]


def test_nodemailer_sends(sending, found):
    sent = answer(found["nodemailer"]["full"])
    assert len(sent["accepted"]) == 1
    mail = sending.mail(sent["messageId"])
    assert (mail["subject"], mail["from"], mail["x-order"]) == ("Grüße", f"Älice <{ALICE}>", "17")
    assert [part["content-id"] for part in mail.walk() if part["content-id"]] == ["<p>"]


def test_nodemailer_sends_batches(found):
    sent = answer(found["nodemailer"]["batch"])
    assert [len(sent["accepted"]), len(sent["rejected"])] == [1, 1]
    assert sent["rejected"][0]["ErrorCode"] == 406


def test_nodemailer_tells_what_is_wrong(found):
    told = found["nodemailer"]
    assert (told["wrong token"]["error"], told["wrong token"]["code"]) == ("InvalidAPIKeyError", 10)
    assert (told["inactive"]["error"], told["inactive"]["recipients"]) == ("InactiveRecipientsError", [GONE])
    assert told["many"]["code"] == 300
