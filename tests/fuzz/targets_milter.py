"""Milter packets: whatever comes, documented events come out, one answer to a question, the same for any cut."""

from random import Random

from postroad.proto.milter import Answered, Broken, Changed, MilterClient, Negotiated, Progressed
from postroad.proto.milterwire import MAX_PACKET, MilterFault, Stage, Step, packet, read_offer, read_said, strings
from postroad.proto.wire import Signal
from postroad.testing import milter as fake
from postroad.testing.fuzzing import Target

SYMBOLS = {"i": "0c1", "j": "mail.example.test", "{auth_authen}": "alice@example.test"}
QUESTIONS = 9


def ask(machine: MilterClient, number: int) -> None:
    """The stages of a message, in their order."""
    match number % QUESTIONS:
        case 0:
            machine.connect("x.test", b"4", "192.0.2.1", 25, SYMBOLS)
        case 1:
            machine.helo("x.test", SYMBOLS)
        case 2:
            machine.mail(["<a@far.test>"], SYMBOLS)
        case 3:
            machine.rcpt(["<b@example.test>"], SYMBOLS)
        case 4:
            machine.data(SYMBOLS)
        case 5:
            machine.headers([(b"Subject", b" x"), (b"To", b" y")])
        case 6:
            machine.end_of_header(SYMBOLS)
        case 7:
            machine.body(b"text\r\n")
        case _:
            machine.end_of_message(SYMBOLS)


def talk(pieces: list[bytes], first: int) -> list[str]:
    """What happens, while each answer is followed by the next question."""
    machine = MilterClient(command_timeout=1, message_timeout=2)
    found: list[str] = []
    asked = False
    for piece in [*pieces, None]:
        if piece is None:
            machine.receive_eof()
        else:
            machine.receive_data(piece)
        while (event := machine.next_event()) is not Signal.NEED_DATA:
            found.append(repr(event))
            if isinstance(event, Broken):
                assert machine.next_event() is Signal.NEED_DATA
                assert not machine.data_to_send()
                return found
            assert isinstance(event, Negotiated | Answered | Changed | Progressed)
            if isinstance(event, Answered):
                assert asked
                asked = False
            if not asked and len(found) < 200:
                ask(machine, first + len(found))
                asked = True
        machine.data_to_send()
        assert machine.patience > 0
    raise AssertionError("a conversation without an end")


def conversation(data: bytes) -> None:
    if len(data) < 2:
        return
    first, seed, words = data[0], data[1], data[2:]
    random, pieces, at = Random(seed), [], 0
    while at < len(words):
        size = random.choice((1, 2, 3, 5, 64))
        pieces.append(words[at : at + size])
        at += size
    assert talk(pieces, first) == talk([words], first)


def one_packet(data: bytes) -> None:
    try:
        offer = read_offer(data)
    except MilterFault:
        pass
    else:
        assert 2 <= offer.version <= 6
        assert set(offer.symbols) <= set(Stage)
    try:
        said = read_said(data[:1], data[1:])
    except MilterFault:
        return
    if name := getattr(said, "name", b""):
        assert b":" not in name
        assert name.isascii()
    if text := getattr(said, "text", ""):
        assert text.isprintable()


WORDS = (
    *(packet(bytes([letter])) for letter in b"ardcsp4f"), fake.CONTINUE * 6, fake.reply("550 5.7.1 no"),
    fake.add("X", "y"), fake.insert(1, "X", "y"), fake.change(1, "X", ""), fake.sender("<>", "RET=FULL"),
    fake.recipient("<a@b.test>", "NOTIFY=NEVER"), fake.not_recipient("<a@b.test>"), fake.body(b"z"),
    fake.quarantine("q"), packet(b"l", b"\0\0\0\5" + strings(b"i j")), (MAX_PACKET + 1).to_bytes(4, "big"),
)  # fmt: skip
SILENT = fake.offer(steps=Step(0xFF080))
SEEDS = [
    bytes((number, number)) + offer + fake.CONTINUE * 8 + b"".join(WORDS[9:17]) + fake.ACCEPT
    for number, offer in enumerate((fake.offer(), SILENT, fake.offer(symbols={0: "j", 5: "i"}), fake.offer(version=2)))
]
TARGETS = {
    "milter-conversation": Target(conversation, SEEDS, WORDS),
    "milter-packet": Target(
        one_packet, [word[4:] for word in WORDS] + [fake.offer(symbols={2: "i"})[5:]], (b"\0", b"\n")
    ),
}
