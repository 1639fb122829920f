"""What the shop's program sends through its server: receipts, password resets, a newsletter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from postroad.lab.day.letters import Letter
from postroad.lab.day.past import SeededRandomness
from postroad.lab.day.pictures import picture
from postroad.mail.compose import Attachment

SHOP = "shop@one.test"
SHOP_NAME = "The Oak Shop"
BROADCAST = "broadcast"
GOODS = (("Chair, oak", 180), ("Table, oak", 640), ("Bench", 215), ("Stool", 75), ("Shelf, small", 120), ("Wax", 14))
BUYERS = (
    ("Grace", "grace.hall@bigmail.test"),
    ("Ivan", "ivan@bigmail.test"),
    ("Heidi", "heidi@uni.test"),
    ("Inés", "ines@atelier.test"),
    ("Kenji", "kenji@kumo.test"),
    ("Erin", "erin.marsh@hilltop.test"),
    ("Bob", "bob@two.test"),
)
READERS = (
    *BUYERS,
    ("Ola", "oldreader@bigmail.test"),
    ("Fan", "weekly.fan@bigmail.test"),
    ("Press", "desk@press.test"),
    ("Jo", "jo.mistyped@bigmail.test"),
)
RECEIPTS_AT = (
    1404,
    1248,
    1149,
    1012,
    933,
    880,
    601,
    522,
    437,
    349,
    268,
    203,
    141,
    88,
    58,
    52,
    44,
    41,
    36,
    30,
    25,
    21,
    15,
    11,
    9,
    4.5,
    3,
)
RESETS_AT = (1317, 796, 583, 244, 66, 49, 18, 7)
NEWSLETTER_AT = 480


def shop_letters(random: SeededRandomness) -> list[Letter]:
    """The day's, in no order."""
    return [*_receipts(random), *_resets(random), *_newsletter()]


def _receipts(random: SeededRandomness) -> Iterator[Letter]:
    for count, ago in enumerate(RECEIPTS_AT):
        name, address = BUYERS[int(random.fraction() * len(BUYERS))]
        basket = [
            (*GOODS[int(random.fraction() * len(GOODS))], 1 + int(random.fraction() * 3)) for _ in range(1 + count % 3)
        ]
        order = f"{7300 + count * 7}"
        yield Letter(
            ago,
            SHOP,
            [address],
            f"Your order {order}",
            _receipt_text(name, order, basket),
            name=SHOP_NAME,
            html=_receipt_html(name, order, basket),
            files=[Attachment("oak.png", picture(120, 48, hue=(122, 92, 46)), "image/png", "oak@one.test")],
            fields={
                "X-PM-Tag": "receipt",
                "X-PM-Metadata-order": order,
                "X-PM-Metadata-customer": address.split("@")[0],
            },
        )


def _receipt_text(name: str, order: str, basket: Sequence[tuple[str, int, int]]) -> str:
    lines = "".join(f"  {count} x {what:<16}{count * price:>10.2f}\n" for what, price, count in basket)
    total = sum(count * price for _, price, count in basket)
    return f"Dear {name},\n\nthank you for your order {order}:\n\n{lines}\n  Total{total:>21.2f}\n\n{SHOP_NAME}\n"


def _receipt_html(name: str, order: str, basket: Sequence[tuple[str, int, int]]) -> str:
    rows = "".join(
        f'<tr><td>{count} × {escape(what)}</td><td align="right">{count * price:.2f}</td></tr>'
        for what, price, count in basket
    )
    total = sum(count * price for _, price, count in basket)
    return (
        '<html><body style="margin:0;background:#f3efe6;font-family:Georgia,serif"><table align="center" width="480" '
        'cellpadding="8" style="background:#fffdf8;color:#3b2f1a"><tr><td colspan="2"><img src="cid:oak@one.test" '
        'width="120" height="48" alt="The Oak Shop"></td></tr>'
        f'<tr><td colspan="2"><p>Dear {escape(name)},</p><p>thank you for your order <b>{order}</b>.</p></td></tr>'
        f"{rows}"
        f'<tr><td><b>Total</b></td><td align="right"><b>{total:.2f}</b></td></tr><tr><td colspan="2">'
        f'<a href="https://shop.one.test/orders/{order}">See your order</a></td></tr></table></body></html>'
    )


def _resets(random: SeededRandomness) -> Iterator[Letter]:
    for ago in RESETS_AT:
        name, address = BUYERS[int(random.fraction() * len(BUYERS))]
        code = int(random.between(100_000, 999_999))
        yield Letter(
            ago,
            SHOP,
            [address],
            "Set a new password",
            f"Hello {name},\n\nyour code is {code}. It is good for ten minutes.\n\n"
            f"If you did not ask for it, do nothing: nobody gets in without it.\n\n{SHOP_NAME}\n",
            name=SHOP_NAME,
            fields={"X-PM-Tag": "password-reset", "X-PM-Metadata-user": address.split("@")[0]},
        )


def _newsletter() -> Iterator[Letter]:
    for count, (name, address) in enumerate(READERS):
        yield Letter(
            NEWSLETTER_AT - count * 0.02,
            SHOP,
            [address],
            "New: a bench for two, and how to wax a table",
            f"Hello {name},\n\nour new bench is for two, or for one with a cat. And: how to wax a table in an hour.\n\n"
            f"https://shop.one.test/news/bench\n\n{SHOP_NAME}\n",
            name=SHOP_NAME,
            html="<html><body><h1>A bench for two</h1><p>Or for one, with a cat.</p><p>And: how to wax a table in an "
            'hour.</p><p><a href="https://shop.one.test/news/bench">Read on</a></p></body></html>',
            fields={"X-PM-Message-Stream": BROADCAST, "X-PM-Tag": "newsletter", "X-PM-Metadata-issue": "41"},
        )
