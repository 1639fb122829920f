from postroad.intake.verdicts import deferred, in_words, kept, noted, passed, refused
from postroad.mail.status import status


def test_verdicts_in_words():
    no = status(550, "5.7.1", "no")
    verdicts = [
        passed("helo", "mail.far.test"),
        noted("rdns", "192.0.2.7 has no name", 2.0),
        noted("dnsbl", "listed as good", -1.5),
        refused("early", "it talked", no),
        deferred("greylist", "a stranger", no),
    ]
    assert in_words(kept(verdicts)) == (
        "helo: mail.far.test; rdns: 192.0.2.7 has no name (+2); dnsbl: listed as good (-1.5);"
        " early: it talked (refuse); greylist: a stranger (defer)"
    )
    assert verdicts[3].status.cause == "early: it talked"
