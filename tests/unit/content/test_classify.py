"""What a reply means: by its words, else by its codes; when to try again; who is given up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.content.classify import Certainty, classify, classify_returned, plain_words, reasoned, wait_in
from postroad.content.reasons import Fault, Pace, Reason, meanings
from postroad.content.returned import Kind, ReturnedRecipient, Stage
from postroad.mail.dsn import Action
from postroad.mail.status import EnhancedCode, Status, status

# stage | reply | reason; replies as servers of every sort give them, none of them an example of the table
REPLIES = """
rcpt|550 5.1.1 <bob@example.com>: Recipient address rejected: User unknown in relay recipient table|no_such_mailbox
rcpt|550 unknown user|no_such_mailbox
rcpt|550 Recipient Rejected: No account by that name here|no_such_mailbox
rcpt|550 5.4.1 All recipient addresses rejected : Access denied|no_such_mailbox
rcpt|550 5.1.1 bob@example.com Email address could not be found, or was misspelled (G8)|no_such_mailbox
rcpt|550 Account not available|mailbox_disabled
rcpt|554 5.2.1 <bob@example.com>: mailbox is inactive|mailbox_disabled
rcpt|550 5.1.1 This user account has been deactivated|mailbox_disabled
rcpt|550 5.2.1 Mailbox unavailable|mailbox_disabled
rcpt|551 User not local; please try <bob@example.net>|moved
rcpt|550 5.7.1 Unable to relay for bob@example.com|relay_denied
rcpt|553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)|relay_denied
rcpt|450 4.7.1 <bob@example.com>: Recipient address rejected: Greylisted for 300 seconds|greylisted
rcpt|451 4.3.2 Please try again later|receiver_trouble
rcpt|554 5.7.1 <bob@example.com>: Recipient address rejected: Mailbox quota exceeded|mailbox_full
rcpt|550 5.7.1 Recipient not authorized, your IP has been found on a block list|blocklisted
rcpt|550 you are not allowed to send to this group|recipient_filter
rcpt|530 Authentication required|access_denied
rcpt|530 5.7.0 Must issue a STARTTLS command first|tls_required
rcpt|503 5.5.1 Error: need MAIL command|protocol_error
rcpt|452 4.5.3 Too many recipients|too_large
mail|550 5.1.8 <alice@example.com>: Sender address rejected: Domain not found|sender_refused
mail|501 5.1.7 Invalid address|sender_refused
mail|550 5.1.1 user unknown|sender_refused
mail|450 4.7.1 Client host rejected: cannot find your reverse hostname, [192.0.2.1]|no_reverse_dns
mail|550 5.7.1 Your IP address [192.0.2.1] has been blacklisted|blocklisted
mail|450 4.3.2 Too much mail from 192.0.2.1|rate_limited
data|554 5.7.1 Message blocked due to spam content in the message.|spam_content
data|554 Message refused due to content|spam_content
data|552 Message size exceeds maximum permitted|too_large
data|554 5.6.0 Message contains a virus Eicar|virus
data|550 message has illegal attachment|content_refused
data|554 Transaction failed: Duplicate header 'Subject'|malformed
data|550 user unknown|recipient_filter
data|554 Your access to this mail system has been rejected due to the sending MTA's poor reputation.|bad_reputation
data|571 Message Refused|policy
connect|421 4.7.0 too many connections from 192.0.2.1|too_many_connections
connect|554 denied|blocklisted
|550 5.7.23 SPF fail|unauthenticated
|550 5.7.1 Email rejected per DMARC policy for example.com|dmarc_policy
|Host or domain name not found. Name service error for name=example.invalid type=A: Host not found|no_such_domain
|450 4.4.3 Name service error for name=example.com type=MX: Host not found, try again|dns_failure
|connect to mx.example.com[192.0.2.9]:25: Connection timed out|no_connection
|554 5.4.6 Too many hops|mail_loop
|message has been in the queue too long|expired
|Command died with status 255: "/usr/bin/maildrop"|program_failed
|452 4.3.1 Insufficient system storage|receiver_full
|556 5.1.10 <bob@example.com>: Domain example.com does not accept mail (nullMX)|takes_no_mail
|Das Postfach des Empfängers ist voll|mailbox_full
|Utilisateur inconnu|no_such_mailbox
|Пользователь не найден|no_such_mailbox
|用户不存在|no_such_mailbox
"""


def reply(text: str) -> Status:
    from postroad.content.explain import read_reply

    return read_reply(text)


@pytest.mark.parametrize("line", REPLIES.strip().split("\n"))
def test_replies_of_every_sort(line):
    stage, text, reason = line.split("|")
    assert classify(reply(text), stage=Stage(stage)).reason == reason


@pytest.mark.parametrize("line", [line for line in REPLIES.strip().split("\n") if len(line) > 40])
def test_upper_case_and_breaks_between_words_change_nothing(line):
    stage, text, reason = line.split("|")
    code, _, words = text.partition(" ")
    if not code.isdigit():
        code, words = "", text
    broken = f"{code}-" + f"\r\n{code}-".join(words.split(" ")) if code else "\r\n ".join(words.split(" "))
    assert classify(reply(broken), stage=Stage(stage)).reason == reason
    assert classify(reply(f"{code} {words.upper()}".strip()), stage=Stage(stage)).reason == reason


@pytest.mark.parametrize(
    ("code", "reason", "certainty"),
    [
        ("550 5.1.1", Reason.NO_SUCH_MAILBOX, Certainty.ENHANCED),
        ("552 5.2.2", Reason.MAILBOX_FULL, Certainty.ENHANCED),
        ("450 4.4.2", Reason.NO_CONNECTION, Certainty.ENHANCED),
        ("450 4.3.2", Reason.RECEIVER_TROUBLE, Certainty.ENHANCED),
        ("550 5.7.26", Reason.UNAUTHENTICATED, Certainty.ENHANCED),
        ("550 5.7.1", Reason.POLICY, Certainty.ENHANCED),
        ("421", Reason.RECEIVER_TROUBLE, Certainty.CODE),
        ("535", Reason.ACCESS_DENIED, Certainty.CODE),
        ("551", Reason.MOVED, Certainty.CODE),
        ("599 5.9.9", Reason.UNKNOWN, Certainty.NONE),
    ],
)
@pytest.mark.parametrize("words", ["", "zzq qqz", "xyzzy 4711 plugh"])
def test_unknown_words_fall_back_on_codes_and_say_so(code, words, reason, certainty):
    number, _, enhanced = code.partition(" ")
    cause = classify(status(int(number), enhanced, words))
    assert (cause.reason, cause.certainty) == (reason, certainty)


@pytest.mark.parametrize(
    ("stage", "reason"),
    [
        (Stage.CONNECT, Reason.BLOCKLISTED),
        (Stage.MAIL, Reason.SENDER_REFUSED),
        (Stage.RCPT, Reason.NO_SUCH_MAILBOX),
        (Stage.DATA, Reason.POLICY),
        (Stage.UNKNOWN, Reason.UNKNOWN),
    ],
)
def test_a_bare_550_is_told_by_its_place(stage, reason):
    assert classify(Status(550, None, "zzq", diagnostic="550 zzq"), stage=stage).reason is reason


def test_an_enhanced_code_goes_before_the_basic_one():
    assert classify(status(550, "5.2.2", "zzq")).reason is Reason.MAILBOX_FULL


def test_the_place_is_read_from_our_own_record():
    refused = Status(550, None, "zzq", "refused at RCPT TO", "mx.example.com", "550 zzq")
    assert classify(refused).reason is Reason.NO_SUCH_MAILBOX


def test_an_unknown_user_behind_the_body_may_be_a_filter():
    """Only X.1.X, or an answer to RCPT, gives an address up."""
    unknown = Status(550, None, "user unknown", diagnostic="550 user unknown")
    assert classify(unknown, stage=Stage.RCPT).hard
    assert not classify(unknown, stage=Stage.DATA).hard
    assert not classify(unknown).hard
    assert classify(Status(550, EnhancedCode(5, 1, 1), "x", diagnostic="550 5.1.1 user unknown"), stage=Stage.DATA).hard


def test_what_is_temporary_gives_nobody_up():
    cause = classify(status(450, "4.1.1", "user unknown"), stage=Stage.RCPT)
    assert (cause.reason, cause.hard, cause.bounce_type) == (Reason.NO_SUCH_MAILBOX, False, "Transient")
    assert not cause.retry.never


def test_what_is_permanent_is_not_tried_again():
    assert classify(status(550, "5.2.2", "mailbox full")).retry.never
    assert not classify(status(450, "4.2.2", "mailbox full")).retry.never
    assert classify(status(450, "4.2.2", "mailbox full")).retry.schedule is Pace.FULL


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("greylisted, try again in 287 seconds", 287),
        ("come back in 5 minutes", 300),
        ("please retry after 1 hour", 3600),
        ("deferred for 00:04:30", 270),
        ("try again in 900s", 900),
        ("try again in 40 hours", None),
        ("in 2025 we moved", None),
        ("no time", None),
    ],
)
def test_the_wait_that_a_reply_names(words, seconds):
    assert wait_in(plain_words(words)) == seconds


def test_no_connection_of_ours_is_the_networks_fault():
    lost = Status(451, EnhancedCode(4, 4, 1), "mx.example.com cannot be reached", "192.0.2.9:25: connection refused")
    cause = classify(lost)
    assert (cause.reason, cause.fault) == (Reason.NO_CONNECTION, Fault.NETWORK)


def test_the_reason_is_stored_with_failures_alone():
    assert reasoned(status(250, "2.0.0", "ok")).reason == ""
    assert reasoned(status(552, "5.2.2", "mailbox full")).reason == "mailbox_full"
    named = Status(550, None, "x", reason="policy")
    assert reasoned(named) is named


@pytest.mark.parametrize(
    ("kind", "reason", "bounce"),
    [
        (Kind.FEEDBACK, Reason.COMPLAINT, "SpamComplaint"),
        (Kind.AUTO_REPLY, Reason.AUTO_REPLY, "AutoResponder"),
        (Kind.CHALLENGE, Reason.CHALLENGE, "ChallengeVerification"),
    ],
)
def test_what_is_no_bounce_has_reasons_too(kind, reason, bounce):
    cause = classify_returned(ReturnedRecipient("bob@example.com", Action.DELIVERED), kind)
    assert (cause.reason, cause.bounce_type) == (reason, bounce)


def test_the_words_around_a_reply_count_where_it_says_nothing():
    bare = ReturnedRecipient("bob@example.com", diagnostic="", context="the recipient's mailbox is full")
    assert classify_returned(bare).reason is Reason.MAILBOX_FULL
    told = ReturnedRecipient("bob@example.com", diagnostic="no such user", context="the recipient's mailbox is full")
    assert classify_returned(told).reason is Reason.NO_SUCH_MAILBOX


def test_every_reason_has_its_meaning_and_a_type_that_postmark_knows():
    known = {
        "HardBounce", "Transient", "Unsubscribe", "Subscribe", "AutoResponder", "AddressChange", "DnsError",
        "SpamNotification", "OpenRelayTest", "Unknown", "SoftBounce", "VirusNotification", "ChallengeVerification",
        "BadEmailAddress", "SpamComplaint", "ManuallyDeactivated", "Unconfirmed", "Blocked", "SMTPApiError",
        "InboundError", "DMARCPolicy", "TemplateRenderingFailed",
    }  # fmt: skip
    assert set(meanings()) == set(Reason)
    assert {each.bounce for each in meanings().values()} <= known
    for reason, each in meanings().items():
        assert each.happened.endswith("."), reason
        assert each.next.endswith("."), reason


@given(st.text(max_size=400), st.integers(0, 999), st.sampled_from(list(Stage)))
def test_any_words_have_a_cause(words, code, stage):
    cause = classify(Status(code, None, words, "", words[:20], words), stage=stage)
    assert cause.reason in set(Reason)
    assert cause.permanent == (500 <= code < 600) or cause.reason is Reason.TAKES_NO_MAIL
    assert not (cause.hard and not cause.permanent)
