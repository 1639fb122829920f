"""How the day's letters reach us: people's mail programs, the shop's program and strangers' servers speak SMTP to the
real front ends."""

from __future__ import annotations

from dataclasses import dataclass

from postroad.accounts.authenticator import Authenticator
from postroad.accounts.guesses import Guesses
from postroad.delivery.agent import AttemptOutcome, AttemptRequest, Carrier
from postroad.delivery.smtp import Conversation
from postroad.delivery.target import Craft, Target
from postroad.intake.fields import body_flags
from postroad.intake.pipeline import Intake
from postroad.lab.day.ground import PORT, Ground, Logins
from postroad.lab.day.letters import NAMES, Letter
from postroad.lab.day.neighbours import BY_DOMAIN
from postroad.lab.day.outgoing import PATIENCE
from postroad.lab.day.past import SteppingClock
from postroad.lab.day.shop import SHOP
from postroad.lab.day.wire import Door, MemoryNetwork
from postroad.mail.compose import compose
from postroad.mail.envelope import Origin
from postroad.ports.apppasswords import Scope
from postroad.ports.ids import BlobId, DeliveryId, MessageId, parse_id
from postroad.ports.net import Endpoint
from postroad.ports.store import Delivery, DeliveryState, Message
from postroad.proto.smtp.profile import Dialect, ServerProfile
from postroad.routing.routes import Transport, TransportKind
from postroad.sessions.login import Logins as ServerLogins
from postroad.sessions.smtp import SmtpFront

US = "203.0.113.25"
SUBMISSION_PORT = 587
GUESSED = "letmein"


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody writes: what their program says in EHLO, their address, and how far that is."""

    helo: str
    address: str


PEOPLE = {
    "alice@one.test": Place("alices-laptop.home", "198.51.100.141"),
    "bob@two.test": Place("bobs-phone.lan", "203.0.113.77"),
    "carol@one.test": Place("desk-3.office.lan", "192.0.2.18"),
    SHOP: Place("shop.one.test", "192.0.2.40"),
}
NOBODYS_PLACE = Place("win-7f2kd0", "203.0.113.199")  # of those who guess passwords and send prizes


class Single:
    """The one message of one connection. Implements delivery.agent.Feed, for the one who sends to us."""

    def __init__(self, request: AttemptRequest) -> None:
        self._request: AttemptRequest | None = request
        self.message: MessageId | None = None  # what our server called it

    def began(self, carrier: Carrier) -> None:
        """The connection stands; it asks by itself."""

    def next(self) -> AttemptRequest | None:
        request, self._request = self._request, None
        return request

    def dot_out(self, request: AttemptRequest) -> None:
        """Nothing to remember."""

    def done(self, outcome: AttemptOutcome) -> None:
        for _, verdict in outcome.statuses:
            if verdict.is_success:
                self.message = MessageId(parse_id(verdict.text.rpartition(" ")[2]) or 0)

    def untried(self, request: AttemptRequest) -> None:
        """It gave up."""

    def idle(self, carrier: Carrier) -> None:
        carrier.finish()

    def ended(self, carrier: Carrier) -> None:
        """That was all."""


class Incoming:
    """Our front doors, and everybody's programs in front of them."""

    def __init__(self, ground: Ground, network: MemoryNetwork, intake: Intake, logins: Logins) -> None:
        self._ground = ground
        self._network = network
        self._intake = intake
        self._logins = logins

    def doors(self) -> dict[Endpoint, Door]:
        """Where the day's mail comes in."""
        return {
            Endpoint(US, PORT): Door(self._front("mx", Dialect.MX).connect),
            Endpoint(US, SUBMISSION_PORT): Door(self._front("submission", Dialect.SUBMISSION).connect, trip=0.031),
        }

    def _front(self, service: str, dialect: Dialect) -> SmtpFront:
        settings, submission = self._ground.base.settings, dialect is Dialect.SUBMISSION
        profile = ServerProfile(
            settings.hostname,
            dialect,
            max_size=settings.limits.max_message_size,
            starttls=True,
            auth_mechanisms=("PLAIN", "LOGIN") if submission else (),
            require_auth=submission,
            repair_bare_lf=submission,
        )
        clock = SteppingClock(self._ground.past)
        logins = self._programs(clock) if submission else None
        return SmtpFront(service, profile, self._intake, clock, self._ground.ids, logins=logins)

    def _programs(self, clock: SteppingClock) -> ServerLogins:
        """How people's programs log in."""
        base, ground = self._ground.base, self._ground
        guesses = Guesses(base.store, clock, ground.ids)
        authenticator = Authenticator(base.store, base.credentials, guesses, clock, tokens=base.tokens)
        return ServerLogins("submission", Scope.SEND, authenticator, clock, ground.random)

    async def send(self, letter: Letter, content: bytes) -> MessageId | None:
        """Bring it to our server. The message it became, or None: it was refused."""
        place, name, password = self._sender(letter)
        feed = Single(self._request(letter, content))
        target = Target(self._ground.base.settings.hostname, *_way(name, password))
        craft = Craft(place.helo, self._ground.clock, self._ground.ids, 1, 0.0)
        conversation = Conversation(feed, target, craft, [])
        await self._network.connect(
            target.endpoint, conversation.machine, conversation, timeout=PATIENCE, source=place.address
        )
        await conversation.opened
        await self._network.quiet()
        return feed.message

    def _sender(self, letter: Letter) -> tuple[Place, str, str]:
        """From where, and with which login; strangers have none."""
        if letter.login:
            return NOBODYS_PLACE, letter.login, GUESSED
        if letter.sender == SHOP:
            return PEOPLE[SHOP], self._logins.token, self._logins.token
        if letter.sender in PEOPLE:
            return PEOPLE[letter.sender], letter.sender, self._logins.passwords[letter.sender]
        neighbour = BY_DOMAIN.get(letter.sender.rpartition("@")[2])
        return (Place(*neighbour.hosts[0]) if neighbour else NOBODYS_PLACE), "", ""

    def _request(self, letter: Letter, content: bytes) -> AttemptRequest:
        """A sender's own view of it: its ids are of no interest to us."""
        message = Message(
            MessageId(0),
            self._ground.clock.now(),
            Origin("local", ""),
            letter.sender,
            len(content),
            body_flags(content),
            BlobId(0),
        )
        deliveries = [Delivery(DeliveryId(0), message.id, "", address, DeliveryState.QUEUED) for address in letter.to]
        return AttemptRequest("", message, deliveries, content)


def _way(name: str, password: str) -> tuple[Endpoint, Transport]:
    port = SUBMISSION_PORT if name else PORT
    transport = Transport(TransportKind.HOST, "", US, port, name, password, require_tls=bool(name))
    return Endpoint(US, port), transport


def written(letter: Letter, ground: Ground, message_id: str, answered: str) -> bytes:
    """The letter as its writer's program composes it; `answered` is the Message-ID of what it answers."""
    name = letter.name or NAMES.get(letter.sender, "")
    fields = dict(letter.fields)
    if answered:
        fields |= {"In-Reply-To": answered, "References": answered}
    return compose(
        header_from=f'"{name}" <{letter.sender}>' if name else letter.sender,
        to=letter.to,
        subject=letter.subject,
        date=ground.clock.now(),
        message_id=message_id,
        text=letter.text,
        html=letter.html,
        attachments=letter.files,
        fields=fields.items(),
    )
