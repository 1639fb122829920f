"""Who wrote what to whom in the course of the day, and what was done about it. What the shop sends is in `shop`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from postroad.lab.day.pictures import document, invitation, picture
from postroad.mail.compose import Attachment

ALICE, BOB, CAROL = "alice@one.test", "bob@two.test", "carol@one.test"
NAMES = {ALICE: "Alice Ahlgren", BOB: "Bob Brandt", CAROL: "Carol Costa"}


@dataclass(frozen=True, slots=True)
class Letter:
    """One message on its way to our server. Times are minutes before the end of the day."""

    ago: float
    sender: str  # who is ours logs in, anybody else comes to the mx
    to: Sequence[str]
    subject: str
    text: str
    name: str = ""  # the sender's
    html: str = ""
    files: Sequence[Attachment] = ()
    fields: Mapping[str, str] = field(default_factory=dict)
    login: str = ""  # for those who try a name and a password that are not theirs
    key: str = ""  # what a deed calls it
    answers: str = ""  # the key of what it answers


@dataclass(frozen=True, slots=True)
class Deed:
    """What an administrator did to a message that waited: an action of the queue."""

    ago: float
    action: str
    key: str


DEEDS = (
    Deed(1010, "cancel", "offer"),
    Deed(352, "retry", "poster"),
    Deed(171, "hold", "prices"),
)


def letters(now: datetime) -> list[Letter]:
    """What people wrote; `now` is the end of the day."""
    return [*_among_ourselves(now), *_to_the_world(), *_from_the_world(), *_nuisances()]


def _among_ourselves(now: datetime) -> list[Letter]:
    noon = (now + timedelta(days=1)).replace(hour=11, minute=0, second=0, microsecond=0)
    meeting = invitation("Quarterly numbers", noon, noon + timedelta(hours=1), ALICE)
    return [
        Letter(
            1432,
            ALICE,
            [BOB],
            "Moving day: the new server",
            "Hi Bob,\n\nthe new mail server is up. Could you try your phone and the laptop, and tell me what does not\n"
            "work? The old one stays on until Friday.\n\nAlice\n",
            key="moving",
        ),
        Letter(
            1396,
            BOB,
            [ALICE],
            "Re: Moving day: the new server",
            "Laptop works, phone works, and it is quick. I miss nothing so far.\n\nBob\n\n"
            "> Could you try your phone and the laptop, and tell me what does not work?\n",
            answers="moving",
        ),
        Letter(
            905,
            CAROL,
            [ALICE, BOB],
            "Invitation: quarterly numbers, tomorrow at 11",
            "Dear both,\n\nthe numbers are ready. One hour should do; the invitation is attached.\n\nCarol\n",
            files=[Attachment("meeting.ics", meeting, "text/calendar")],
            key="numbers",
        ),
        Letter(
            862,
            ALICE,
            [CAROL],
            "Re: Invitation: quarterly numbers, tomorrow at 11",
            "I'll be there.\n",
            answers="numbers",
        ),
        Letter(
            410,
            BOB,
            ["info@one.test"],
            "Who has the projector?",
            "It is not in the meeting room, and not under my desk either. I have looked twice.\n\nBob\n",
            key="projector",
        ),
        Letter(
            396,
            CAROL,
            [BOB],
            "Re: Who has the projector?",
            "Under *my* desk. Sorry! Back in its place by two.\n\nCarol\n",
            answers="projector",
        ),
        Letter(
            14,
            ALICE,
            [BOB, CAROL],
            "Lunch?",
            "The place at the corner has pumpkin soup today. Half past twelve?\n\nA.\n",
            key="lunch",
        ),
        Letter(6, CAROL, [ALICE], "Re: Lunch?", "Yes! Keep a chair for me.\n", answers="lunch"),
    ]


def _to_the_world() -> list[Letter]:
    photograph = Attachment("hills.png", picture(320, 180), "image/png", "hills@one.test")
    prices = document("Price list", ["Chair, oak              180.00", "Table, oak              640.00"])
    return [
        Letter(
            1421,
            BOB,
            ["judy@down.test"],
            "Delivery on Thursday",
            "Dear Judy,\n\nthe van comes on Thursday between eight and ten. Please leave the gate open.\n\nBob\n",
        ),
        Letter(
            1290,
            ALICE,
            ["heidi@uni.test", "lab-office@uni.test"],
            "Proofs of the article",
            "Dear Heidi,\n\nplease find my corrections below. Only page 7 needs another look.\n\n"
            '  p. 3, line 12: "relayed", not "replayed"\n  p. 7, figure 2: the axis is in milliseconds\n\nAlice\n',
        ),
        Letter(
            1085,
            CAROL,
            ["frank@faraway.test"],
            "Offer 2231",
            "Dear Frank,\n\nas discussed: 40 chairs at 162.00, delivered in March.\n\nCarol Costa\n",
            key="offer",
        ),
        Letter(
            978,
            ALICE,
            ["ines@atelier.test"],
            "Fotos de la excursión",
            "Hola Inés:\n\n¡Qué día tan bonito! Te mando la foto de las colinas.\n\nUn abrazo,\nAlice\n",
            html='<div style="font-family:sans-serif"><p>Hola Inés:</p><p>¡Qué día tan bonito! Te mando la foto de las '
            'colinas.</p><p><img src="cid:hills@one.test" alt="Colinas al atardecer" width="320" height="180"></p>'
            "<p>Un abrazo,<br>Alice</p></div>",
            files=[photograph],
            key="photos",
        ),
        Letter(
            774,
            BOB,
            ["kenji@kumo.test"],
            "打ち合わせの日程について",
            "健二様\n\nお世話になっております。来週の打ち合わせですが、水曜日の午後三時はいかがでしょうか。\n\nボブ\n",
        ),
        Letter(
            690,
            CAROL,
            ["jo.mistyped@bigmail.test"],
            "Your application",
            "Dear Jo,\n\nthank you for coming in. We would like to see you again on Monday.\n\nCarol Costa\n",
        ),
        Letter(
            640,
            CAROL,
            ["okafor@northwind.test", "purchasing@northwind.test"],
            "Order 4471: quantities",
            "Dear Mrs Okafor,\n\nplease find the quantities attached.\n\nCarol Costa\n",
            files=[Attachment("quantities.xlsm", b"PK\x03\x04" + bytes(range(256)) * 12, "application/vnd.ms-excel")],
        ),
        Letter(
            455,
            BOB,
            ["grace@bigmail.test"],
            "Keys",
            "Grace, I have left your keys with the porter.\n\nBob\n",
        ),
        Letter(
            372,
            ALICE,
            ["printers@servfail.test"],
            "Poster, second proof",
            "Dear printers,\n\nthe second proof is fine. Please print 200 copies on the heavy paper.\n\nAlice\n",
            key="poster",
        ),
        Letter(
            300,
            ALICE,
            ["erin@hilltop.test"],
            "Honig",
            "Liebe Erin,\n\nbitte heb mir drei Gläser vom dunklen Honig auf, ich hole sie Samstag.\n\nGrüße\nAlice\n",
        ),
        Letter(
            186,
            CAROL,
            ["buyers@down.test"],
            "Price list for spring",
            "Dear customers,\n\nplease find our prices for spring attached.\n\nCarol Costa\n",
            files=[Attachment("prices-spring.pdf", prices, "application/pdf")],
            key="prices",
        ),
        Letter(
            128,
            BOB,
            ["desk@press.test"],
            "Correction to today's notice",
            "Dear colleagues,\n\nour opening hours are from nine to six, not from six to nine.\n\nBob Brandt\n",
        ),
        Letter(
            96,
            ALICE,
            ["judy@down.test", "erin@hilltop.test", "bob@two.test"],
            "Flea market on Sunday",
            "We have two tables. Who brings the cake?\n\nAlice\n",
        ),
        Letter(
            47,
            CAROL,
            ["451@remote.test"],
            "Reminder: invoice 881",
            "Dear Sir or Madam,\n\nour invoice 881 of last month is still open. Perhaps it went astray?\n\nCarol\n",
        ),
        Letter(27, BOB, ["heidi@uni.test"], "Seminar room", "Is C-104 free on Tuesday from two to four?\n\nBob\n"),
    ]


def _from_the_world() -> list[Letter]:
    invoice = document("Invoice 2026-1187", ["Hosting, one year           96.00", "Domain one.test             12.00"])
    letterhead = Attachment("letterhead.png", picture(240, 72, hue=(150, 62, 84)), "image/png", "head@northwind.test")
    return [
        Letter(
            1365,
            "grace@bigmail.test",
            [ALICE],
            "Thank you!",
            "What a lovely evening. The children still sing your song.\n\nGrace\n",
            name="Grace",
        ),
        Letter(
            1203,
            "billing@northwind.test",
            ["info@one.test"],
            "Your invoice 2026-1187",
            "Dear customer,\n\nplease find our invoice attached. It is due within 30 days.\n\nNorthwind\n",
            name="Northwind Billing",
            html=_invoice_page(),
            files=[letterhead, Attachment("invoice-2026-1187.pdf", invoice, "application/pdf")],
        ),
        Letter(
            845,
            "ines@atelier.test",
            [ALICE],
            "Re: Fotos de la excursión",
            "¡Preciosa! La voy a pintar. ¿Me das permiso?\n\nInés\n",
            name="Inés Ibáñez",
            answers="photos",
        ),
        Letter(
            722,
            "layla@uni.test",
            [CAROL],
            "موعد المحاضرة",
            "مرحباً كارول،\n\nالمحاضرة يوم الأربعاء في الساعة الرابعة مساءً. أرجو تأكيد الحضور.\n\nمع التحية\nليلى\n",
            name="ليلى",
        ),
        Letter(
            548,
            "news@press.test",
            [ALICE, CAROL],
            "The morning post: five things to know",
            "1. The bridge is open again.\n2. Snow above 900 metres.\n3. The library stays open until ten.\n"
            "4. A fox lives behind the town hall.\n5. Buses 4 and 9 swap their routes.\n",
            name="The Morning Post",
            html=_morning_post(),
            fields={
                "List-Id": "Morning Post <morning.press.test>",
                "List-Unsubscribe": "<https://press.test/unsubscribe/7c1>",
            },
        ),
        Letter(
            231,
            "kenji@kumo.test",
            [BOB],
            "Re: 打ち合わせの日程について",
            "ボブ様\n\n水曜日の午後三時で問題ございません。よろしくお願いいたします。\n\n健二\n",
            name="山本健二",
        ),
        Letter(
            73,
            "oksana@hilltop.test",
            [BOB, "info@one.test"],
            "Запитання щодо доставки",
            "Доброго дня!\n\nЧи доставляєте ви меблі до Львова? Скільки це коштує?\n\nДякую,\nОксана\n",
            name="Оксана",
        ),
        Letter(
            33,
            "erin@hilltop.test",
            [ALICE],
            "Re: Honig",
            "Drei Gläser stehen bereit, und eins vom hellen zum Probieren.\n\nErin\n",
            name="Erin",
        ),
    ]


def _invoice_page() -> str:
    return (
        '<table width="100%" style="max-width:560px"><tr><td><img src="cid:head@northwind.test" alt="Northwind" '
        'width="240" height="72"></td></tr><tr><td><h2 style="color:#963e54">Invoice 2026-1187</h2>'
        "<p>Dear customer,</p><p>please find our invoice attached. It is due within <b>30 days</b>.</p>"
        "<p>Northwind</p></td></tr></table>"
    )


def _morning_post() -> str:
    """A newsletter as they are: pictures from elsewhere, and one that would tell that it has been opened."""
    things = (
        ("The bridge is open again", "Traffic flows since six."),
        ("Snow above 900 metres", "Take the chains along."),
        ("The library stays open until ten", "On weekdays, to begin with."),
    )
    items = "".join(f"<tr><td><h3>{title}</h3><p>{text}</p></td></tr>" for title, text in things)
    return (
        "<html><head><style>h3{color:#1b4b72;margin:0}body{background:#f4f1ea}</style></head><body>"
        '<table align="center" width="600" cellpadding="12" style="background:#ffffff">'
        '<tr><td><img src="https://press.test/masthead.png" alt="The Morning Post" width="560" height="90"></td></tr>'
        f'{items}<tr><td><a href="https://press.test/today">Read on</a></td></tr></table>'
        '<img src="https://press.test/open/7c1.gif" width="1" height="1" alt=""></body></html>'
    )


def _nuisances() -> list[Letter]:
    """What never becomes mail of ours."""
    guess = "Please answer by return."
    return [
        Letter(1338, "prize@win.test", ["admin@one.test", "sales@one.test", "root@one.test"], "You have won", guess),
        Letter(1121, "someone@cheap.test", ["victim@elsewhere.test"], "Relay, please", guess),
        Letter(812, ALICE, [BOB], "Hello", guess, login="alice@one.test"),
        Letter(811.9, ALICE, [BOB], "Hello", guess, login="admin@one.test"),
        Letter(
            388, "carla@bigmail.test", ["caroll@one.test"], "Saturday", "Are you coming on Saturday?\n", name="Carla"
        ),
        Letter(57, "prize@win.test", ["sales@two.test", "office@two.test"], "You have won again", guess),
    ]
