"""The policy of acceptance, as lists of named steps by stage, and the calls that front ends make.

Everything before the body is answered at once when the directory knows the recipient; a Status is the answer, and an
awaitable of one where something has to be read.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from postroad.accounts.tokens import Access
from postroad.events.recorder import Recorder
from postroad.intake import fields
from postroad.intake.amend import amend
from postroad.intake.checks import Policy, limits, loop, recipients, relay, sender
from postroad.intake.checks.ownership import Ownership as OwnershipStep
from postroad.intake.checks.sending import Sending
from postroad.intake.commit import Committer, Look, Prepared, accepted_status, segment_header
from postroad.intake.drafts import DraftSpool
from postroad.intake.patience import Patience
from postroad.intake.programs import (
    NOT_OURS,
    REVOKED,
    SUPPRESSED,
    Asked,
    Programs,
    own_fields,
    read_fields,
    without_fields,
)
from postroad.intake.refusals import RefusalBuffer
from postroad.intake.repeats import Repeats
from postroad.intake.scanners import Scan, Scanning
from postroad.intake.spool import STORE_FAILED, Budget, Digest, Spool, Spooled
from postroad.intake.transaction import API_SERVICE, TRUSTED_SERVICE, MailTransaction
from postroad.intake.visit import Visit
from postroad.mail.address import AddressError, ForwardPath, ReversePath, parse_forward_path, parse_reverse_path
from postroad.mail.envelope import BodyFlag, Origin
from postroad.mail.header import Header
from postroad.mail.status import Status, status
from postroad.mail.trace import received
from postroad.observe.metrics import COUNTERS
from postroad.ports.blobs import BlobStore
from postroad.ports.clock import Clock
from postroad.ports.handoff import Handoff, Ownership, Reporter
from postroad.ports.ids import BlobId, IdSource, MessageId, id_text
from postroad.ports.net import Endpoint
from postroad.ports.store import AccountRecord, Lane, Refusal, Store, StoreUnavailable, Tx
from postroad.ports.uuids import uuid_text
from postroad.proto.smtp.parameters import NO_PARAMETERS, NO_RCPT_PARAMETERS, MailParameters, RcptParameters
from postroad.routing.aliases import Resolution
from postroad.routing.directory import Directory

SENDER_STEPS = (sender.submitter_is_known, limits.size_fits, limits.disk_has_room)
RECIPIENT_STEPS = (
    limits.recipients_are_few,
    relay.may_relay,
    relay.is_a_bounce,
    recipients.is_known,
    recipients.has_room,
)
MESSAGE_STEPS = (limits.message_fits, loop.hops_are_few, loop.not_delivered_before, sender.program_asks_well)

_RECIPIENT_OK = status(250, "2.1.5", "OK")
_NO_RECIPIENTS = status(554, "5.5.1", "no valid recipients")
LOCAL_ORIGIN = Origin(TRUSTED_SERVICE, "")
_NOWHERE = Resolution(is_ours=False)
_NO_LISTENER = Endpoint("", 0)
_NOT_NOW = status(451, "4.3.0", "temporary problem here, try again later")


@dataclass(frozen=True, slots=True)
class Services:
    """What acceptance works with; `assembly` makes it."""

    store: Store
    blobs: BlobStore
    directory: Directory
    committer: Committer
    recorder: Recorder
    refusals: RefusalBuffer
    patience: Patience
    ids: IdSource
    clock: Clock
    programs: Programs | None = None  # none: nobody logs in with a token
    ownership: OwnershipStep | None = None  # none: accounts send as anybody
    sending: Sending | None = None  # none: as much as they like
    scanning: Scanning | None = None  # none: nobody looks at mail before it is ours


class Intake:
    """One for a process, shared by its sessions."""

    def __init__(self, services: Services, policy: Policy, hostname: str) -> None:
        self._services = services
        self._directory = services.directory
        self._clock = services.clock
        self._policy = policy
        self._hostname = hostname
        self._budget = Budget()
        self._repeats = Repeats(services.clock)
        self._scanning = services.scanning

    def begin(
        self,
        origin: Origin,
        reverse_path: ReversePath,
        size: int | None = None,
        body: str = "",
        *,
        account: AccountRecord | None = None,
        access: Access | None = None,
        parameters: MailParameters = NO_PARAMETERS,
        visit: Visit | None = None,
    ) -> MailTransaction | Status:
        """MAIL: a transaction, or the refusal. One of a program, which has `access`, wants `admit_submitter` next.

        `visit`: the client is a stranger at the front door.
        """
        transaction = MailTransaction(origin, reverse_path, size, body, account)
        transaction.parameters = parameters
        if access is not None and access.server is not None:
            transaction.access = access
            transaction.server, transaction.sandbox = access.server.id, access.server.sandbox
        for step in SENDER_STEPS:
            refused = step(self._policy, transaction)
            if refused is not None:
                return refused
        if visit is not None and not origin.account:
            transaction.visit = visit
            refused = visit.mail()
            if refused is not None:
                return refused
        return transaction

    def admit_submitter(self, transaction: MailTransaction) -> Status | Awaitable[Status | None] | None:
        """MAIL of who has logged in: the reverse-path is one's own; of a program, in a domain of ours, and its token
        holds still. The refusal, if any."""
        access, programs, sender = transaction.access, self._services.programs, transaction.reverse_path.address
        if transaction.account is not None and self._services.ownership is not None:
            return self._services.ownership.sender(transaction.account, sender)
        if access is None:
            return None
        assert programs is not None
        known = sender is None or self.is_ours(sender.domain.ascii)
        if known is True and programs.is_current(access):
            return None
        return self._admit_later(transaction, access, programs, known)

    async def _admit_later(
        self, transaction: MailTransaction, access: Access, programs: Programs, known: bool | Awaitable[bool]
    ) -> Status | None:
        try:
            if not (known if isinstance(known, bool) else await known):
                return NOT_OURS.because(f"MAIL FROM {transaction.reverse_path}")
            transaction.access = await programs.current(access)
        except StoreUnavailable as error:
            return _NOT_NOW.because(str(error))
        return None if transaction.access is not None else REVOKED

    def recipient(
        self, transaction: MailTransaction, path: ForwardPath, parameters: RcptParameters = NO_RCPT_PARAMETERS
    ) -> Status | Awaitable[Status]:
        """RCPT: 250 and the recipient is taken, or the refusal."""
        if parameters.asks:
            transaction.wishes[str(path)] = parameters
        if transaction.sandbox:
            return self._judge_in_sandbox(transaction, path)
        visit = transaction.visit
        if visit is None:
            return self._resolve(transaction, path)
        if not visit.is_ready(transaction, path):
            return self._ask_later(transaction, path, visit)
        return visit.before(transaction, path) or self._resolve(transaction, path)

    async def _ask_later(self, transaction: MailTransaction, path: ForwardPath, visit: Visit) -> Status:
        """What is asked about a stranger elsewhere is not answered yet."""
        try:
            await visit.prepare(transaction, path)
        except StoreUnavailable as error:
            return _NOT_NOW.because(str(error))
        answer = visit.before(transaction, path) or self._resolve(transaction, path)
        return answer if isinstance(answer, Status) else await answer

    def _resolve(self, transaction: MailTransaction, path: ForwardPath) -> Status | Awaitable[Status]:
        resolution = self._directory.resolve(path)
        if isinstance(resolution, Resolution):
            return self._judge(transaction, path, resolution)
        return self._judge_later(transaction, path, resolution)

    async def _judge_later(
        self, transaction: MailTransaction, path: ForwardPath, reading: Awaitable[Resolution]
    ) -> Status:
        try:
            return self._judge(transaction, path, await reading)
        except StoreUnavailable as error:
            return _NOT_NOW.because(str(error))

    def _judge(self, transaction: MailTransaction, path: ForwardPath, resolution: Resolution) -> Status:
        visit = transaction.visit
        for step in RECIPIENT_STEPS:
            refused = step(self._policy, transaction, resolution)
            if refused is not None:
                if visit is not None and step is recipients.is_known:
                    visit.unknown()
                return refused
        if visit is not None:
            refused = visit.after(transaction, path)
            if refused is not None:
                return refused
        transaction.add(path, resolution.targets)
        return _RECIPIENT_OK

    async def scan_recipient(
        self, transaction: MailTransaction, path: ForwardPath, parameters: RcptParameters
    ) -> Status:
        """The same where scanners have a word in it: the last one."""
        scan, known = transaction.scan, str(path) in transaction.recipients
        assert scan is not None
        answer = self.recipient(transaction, path, parameters)
        judged = answer if isinstance(answer, Status) else await answer
        if not judged.is_success:
            await scan.rejected(path, judged)
            return judged
        refused = await scan.rcpt(transaction, path, parameters)
        if refused is None:
            return judged
        if not known:
            transaction.drop(str(path))
        return refused

    def _judge_in_sandbox(self, transaction: MailTransaction, path: ForwardPath) -> Status:
        refused = limits.recipients_are_few(self._policy, transaction, _NOWHERE)
        if refused is not None:
            return refused
        transaction.add_to_sandbox(path)
        return _RECIPIENT_OK

    async def bounce_or_take(self, transaction: MailTransaction, path: ForwardPath) -> Status:
        """RCPT for programs, which hear of a recipient's failure later: who is not known here, or has no room, is taken
        as bounced. Other refusals stay refusals."""
        answer = self.recipient(transaction, path)
        judged = answer if isinstance(answer, Status) else await answer
        if judged.is_success or not (judged.is_permanent or judged.enhanced == recipients.MAILBOX_FULL):
            return judged
        transaction.end(path, judged)
        return _RECIPIENT_OK

    async def learn(self, paths: Iterable[ForwardPath]) -> None:
        """Read what recipients come to, many at once, before `recipient` asks for each. Raises StoreUnavailable."""
        await self._directory.learn(paths)

    def is_ours(self, domain: str) -> bool | Awaitable[bool]:
        """Whether a domain (A-labels) is one of this server's: what programs may send from."""
        return self._directory.is_ours(domain)

    def spool(self, transaction: MailTransaction) -> Spool:
        """DATA: where the body goes. The message gets its id and its time here."""
        transaction.message = MessageId(self._services.ids.new())
        transaction.received = self._clock.now()
        kind = Spool if self._scanning is None else self._spool_for(transaction, self._scanning)
        return kind(
            self._services.blobs,
            self._budget,
            blob=BlobId(transaction.message),
            envelope=lambda: segment_header(transaction),
            make_header=lambda header: self._final_header(transaction, header),
            max_header=self._policy.max_header_size,
        )

    def _spool_for(self, transaction: MailTransaction, scanning: Scanning) -> type[Spool]:
        """What scanners look at is stored when they have spoken."""
        is_seen = not transaction.is_report and scanning.looks_at(transaction.origin.service)
        return DraftSpool if is_seen else Spool

    async def _scan(self, transaction: MailTransaction, spool: DraftSpool, flags: BodyFlag) -> BodyFlag | Status:
        """What scanners say of a whole message. It is changed as they wish: its facts now, or the refusal."""
        draft, scan = spool.begin(flags), transaction.scan
        if scan is None:
            assert self._scanning is not None
            scan = self._scanning.begin(transaction.origin.service, _NO_LISTENER)
            assert scan is not None
            try:
                refused = await self._present(scan, transaction) or await scan.message(transaction, draft)
            finally:
                scan.close()
        else:
            refused = await scan.message(transaction, draft)
        if refused is None:
            try:
                await amend(transaction, scan.changes, self._directory.resolve)
            except StoreUnavailable as error:
                refused = _NOT_NOW.because(str(error))
        if refused is not None:
            spool.discard()
            return refused
        return draft.flags

    async def _present(self, scan: Scan, transaction: MailTransaction) -> Status | None:
        """Mail that comes by no SMTP session is shown to scanners as if it did."""
        refused = await scan.mail(transaction)
        for name in transaction.recipients:
            if refused is None:
                wish = transaction.wishes.get(name, NO_RCPT_PARAMETERS)
                refused = await scan.rcpt(transaction, parse_forward_path(name), wish)
        return refused or await scan.data(transaction)

    def _final_header(self, transaction: MailTransaction, header: Header) -> tuple[Header, bytes]:
        """What is kept of the header block as it came, and the block that is stored."""
        assert transaction.received is not None
        text = id_text(transaction.message)
        single = transaction.recipients[0] if len(transaction.recipients) == 1 else ""
        single = single if single.isascii() else ""  # else the field would make any message one for SMTPUTF8
        trace = received(
            transaction.origin,
            by=self._hostname,
            id=text,
            when=transaction.received,
            recipient=single,
            utf8=transaction.parameters.utf8,
        )
        if not transaction.is_trusted:
            return header, fields.final_header(header, trace, b"")
        if transaction.origin.service == API_SERVICE:  # composed here: it has Date and Message-ID, and no Bcc
            return header, fields.final_header(header, trace, b"")
        if transaction.access is not None:
            header, text, trace = self._program_header(transaction, transaction.access, header, trace)
        sender, authors = "", transaction.authors
        if transaction.account is not None:
            sender, authors = transaction.account.address, header.all(b"from")
            transaction.authors = authors
        added = fields.missing_fields(
            header, id=text, hostname=self._hostname, now=transaction.received, sender=sender, authors=authors
        )
        kept = fields.without_hidden(header)
        return (Header(added + kept.raw) if added else kept), fields.final_header(kept, trace, added)

    def _program_header(
        self, transaction: MailTransaction, access: Access, header: Header, trace: bytes
    ) -> tuple[Header, str, bytes]:
        """What a program asks for, out of the header block and into the transaction; how its message is called."""
        assert transaction.received is not None
        asked = transaction.asked = read_fields(header, access, transaction.received)
        transaction.stream, transaction.tag = asked.stream, asked.tag
        transaction.metadata, transaction.tracking = asked.metadata, asked.tracking
        uuid = uuid_text(transaction.message)
        return without_fields(header, keep_id=asked.keep_id), uuid, trace + own_fields(uuid, asked.tag)

    async def _judge_submitter(self, transaction: MailTransaction) -> Status | None:
        """What of the message has to be looked up."""
        doubt, transaction.doubt = transaction.doubt, None
        refused = None if doubt is None else await doubt
        if refused is None and transaction.asked is not None:
            refused = await self._judge_program(transaction, transaction.asked)
        return refused

    async def _judge_program(self, transaction: MailTransaction, asked: Asked) -> Status | None:
        """The message of a program: who it is from, and which of its recipients get nothing on its stream."""
        programs, access = self._services.programs, transaction.access
        assert programs is not None
        assert access is not None
        assert access.server is not None
        try:
            for domain in asked.domains:
                known = self.is_ours(domain)
                if not (known if isinstance(known, bool) else await known):
                    return NOT_OURS.because(f"From is in {domain}")
            suppressed = await programs.suppressed(access.server, asked.stream, transaction.recipients)
        except StoreUnavailable as error:
            return STORE_FAILED.because(str(error))
        for name in suppressed:
            transaction.suppress(name, SUPPRESSED)
        return None

    async def finish(
        self,
        transaction: MailTransaction,
        spool: Spool,
        flags: BodyFlag = BodyFlag.NONE,
        *,
        bounce_of: MessageId | None = None,
    ) -> Status:
        """The end of the body: the message steps, then the commit. 250 means that the message is ours."""
        ended = self._end(transaction, spool)
        if transaction.doubt is not None or (transaction.asked is not None and not isinstance(ended, Status)):
            refused = await self._judge_submitter(transaction)
            if refused is not None:
                spool.discard()
                return refused
        if ended is None and isinstance(spool, DraftSpool):
            scanned = await self._scan(transaction, spool, flags)
            if isinstance(scanned, Status):
                return scanned
            flags = scanned
        spooled = ended if ended is not None else await spool.finish()
        if isinstance(spooled, Status):
            return spooled
        known = self._repeats.find(transaction, spooled.digest)
        if known is not None:
            return await self._repeated(transaction, spooled, known)
        if self._services.sending is not None:
            self._services.sending.judge(transaction)
        answer = await self._services.committer.commit(transaction, spooled, flags, bounce_of=bounce_of)
        if answer.is_success:
            self._expect_repeat(transaction, spooled.digest, transaction.message)
            if transaction.visit is not None:
                transaction.visit.taken()
        return answer

    async def finish_each(
        self, transaction: MailTransaction, spool: Spool, flags: BodyFlag = BodyFlag.NONE
    ) -> list[Status]:
        """The end of the body in LMTP: an answer for each recipient, in their order (RFC 2033 §4.2).

        Who has no room for what came is refused alone; the copies of the others are one commit.
        """
        names = list(transaction.recipients)
        refused = recipients.without_room(transaction, spool.size)
        for name in refused:
            transaction.drop(name)
        if transaction.planned:
            answer = await self.finish(transaction, spool, flags)
        else:
            spool.discard()
            answer = _NO_RECIPIENTS
        return [refused.get(name, answer) for name in names]

    def _end(self, transaction: MailTransaction, spool: Spool) -> Spooled | Status | None:
        """The message steps; then the body, or None when it is in a file that has to be finished."""
        if not transaction.planned:
            spool.discard()
            return _NO_RECIPIENTS
        header = spool.end()
        refused = header if isinstance(header, Status) else self._judge_message(transaction, header)
        if refused is not None:
            spool.discard()
            return refused
        return spool.finish_small() if spool.is_small else None

    async def prepare(self, transaction: MailTransaction, spool: Spool, content: bytes) -> Prepared | Status:
        """What `mail.compose` has made for a program: all but its commit, or a refusal. A small one awaits nothing."""
        waiting = spool.write(content)
        if waiting is not None:
            await waiting
        flags = BodyFlag.DOT_LINES if b"\n." in content else BodyFlag.NONE  # its lines are short
        if not content.isascii():  # an address in its header: nothing else in it is beyond ASCII
            flags |= BodyFlag.EIGHT_BIT | BodyFlag.UTF8
        ended = self._end(transaction, spool)
        if ended is None and isinstance(spool, DraftSpool):
            scanned = await self._scan(transaction, spool, flags)
            if isinstance(scanned, Status):
                return scanned
            flags = scanned | flags & BodyFlag.UTF8
        spooled = ended if ended is not None else await spool.finish()
        if isinstance(spooled, Status):
            return spooled
        if self._services.sending is not None:
            self._services.sending.judge(transaction)
        return await self._services.committer.prepare(transaction, spooled, flags)

    async def commit_all(self, messages: Sequence[Prepared], then: Callable[[Tx], None] | None = None) -> list[Status]:
        """Make prepared messages ours: one commit for all of them, an answer for each. `then` joins the transaction."""
        return await self._services.committer.commit_all(messages, then)

    def _judge_message(self, transaction: MailTransaction, header: Header) -> Status | None:
        for step in MESSAGE_STEPS:
            refused = step(self._policy, transaction, header)
            if refused is not None:
                return refused
        if transaction.account is not None and self._services.ownership is not None:
            verdict = self._services.ownership.author(transaction.account, header, transaction.authors)
            if isinstance(verdict, Status):
                return verdict
            transaction.doubt = verdict
        return transaction.visit.message(transaction) if transaction.visit is not None else None

    async def _repeated(self, transaction: MailTransaction, spooled: Spooled, message: MessageId) -> Status:
        """It is ours already: file the repeat, keep nothing."""
        COUNTERS.repeated += 1
        event = self._services.recorder.repeat(message, self._clock.now(), transaction.origin.client)
        try:
            await self._services.store.write(lambda tx: tx.events.add([event]), lane=Lane.LOW)
        except StoreUnavailable:
            return STORE_FAILED
        self._expect_repeat(transaction, spooled.digest, message)
        return accepted_status(message)

    def _expect_repeat(self, transaction: MailTransaction, digest: Digest, message: MessageId) -> None:
        """Should the client go before it has our answer, its next try is known."""
        if transaction.origin.service == TRUSTED_SERVICE:
            return
        if transaction.gone:
            self._repeats.remember(transaction, digest, message)
        else:
            transaction.missed_answer = partial(self._repeats.remember, digest=digest, message=message)

    def refuse(self, refusal: Refusal) -> None:
        """Keep a refused command, recipient or message: `refusals.refusal` makes the row."""
        self._services.refusals.add(refusal)

    async def submit_local(
        self,
        reverse_path: str,
        recipients: Sequence[str],
        content: bytes,
        *,
        origin: Origin | None = None,
        account: AccountRecord | None = None,
        bounce_of: MessageId | None = None,
        parameters: MailParameters = NO_PARAMETERS,
        wish: RcptParameters = NO_RCPT_PARAMETERS,
    ) -> Status:
        """Take a message of this machine: sendmail, send, our own bounces. All of its recipients, or none.

        `wish` is for each of the recipients."""
        try:
            sender_path = parse_reverse_path(reverse_path)
            paths = [parse_forward_path(recipient) for recipient in recipients]
        except AddressError as error:
            return status(553, "5.1.3", str(error))
        transaction = self.begin(
            origin or LOCAL_ORIGIN, sender_path, len(content), account=account, parameters=parameters
        )
        if isinstance(transaction, Status):
            return transaction
        for path in paths:
            answer = self.recipient(transaction, path, wish)
            judged = answer if isinstance(answer, Status) else await answer
            if not judged.is_success:
                return judged.because(judged.cause or str(path))
        return await self._submit(transaction, fields.wire_lines(content), bounce_of)

    async def _submit(self, transaction: MailTransaction, content: bytes, bounce_of: MessageId | None) -> Status:
        spool = self.spool(transaction)
        waiting = spool.write(content)
        if waiting is not None:
            await waiting
        return await self.finish(transaction, spool, fields.body_flags(content), bounce_of=bounce_of)

    def look_at_returns(self, look: Look) -> None:
        """Who looks at what comes back to people's own mailboxes: bounces, complaints."""
        self._services.committer.look_at_returns(look)

    def report_to(self, reporter: Reporter | None) -> None:
        """Who tells senders of what is delivered when it is accepted, where they asked for that (RFC 3461)."""
        self._services.committer.report_to(reporter)

    def hand_to(self, handoff: Handoff | None, ownership: Ownership | None) -> None:
        """From now on new deliveries are born owned by this node, and handed to its queue after their commit."""
        self._services.committer.hand_to(handoff, ownership)

    async def close(self) -> None:
        """Write what is buffered. No session may be left."""
        self._services.patience.close()
        await self._services.refusals.close()
