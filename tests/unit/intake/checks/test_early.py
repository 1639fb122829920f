from postroad.intake.checks.early import EarlyTalkers
from postroad.intake.verdicts import Kind


def test_early_talkers_are_noted_or_refused():
    noted = EarlyTalkers(weight=3.0, refuses=False, wait=0.0).judge("the banner")
    assert (noted.kind, noted.weight, noted.reason) == (Kind.NOTE, 3.0, "it talked before the banner")
    refused = EarlyTalkers(weight=3.0, refuses=True, wait=0.0).judge("the banner")
    assert (refused.kind, refused.status.reply_code) == (Kind.REFUSE, 550)
    assert refused.status.cause == "early: it talked before the banner"
