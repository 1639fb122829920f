"""How a server's conversation takes the content of messages, by DATA and by BDAT (RFC 5321 §4.1.1.4; RFC 3030).

Both give the same events. `body.py` reads the octets; here is what is asked, answered and swallowed around them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from postroad.proto.smtp import reply as replies
from postroad.proto.smtp.body import BodyFault, BodyReader, ChunkReader
from postroad.proto.smtp.conversation import Conversation
from postroad.proto.smtp.grammar import Bdat, Plain
from postroad.proto.smtp.order import against_bdat, against_data
from postroad.proto.smtp.profile import Dialect, ServerProfile
from postroad.proto.smtp.reply import Reply
from postroad.proto.smtp.server_events import BodyChunk, BodyEnd, CommandAnswered, DataRequested, Event
from postroad.proto.wire import ProtocolMisuse, Signal

BODY_REPLIES: Final = {
    BodyFault.TOO_LARGE: replies.TOO_LARGE,
    BodyFault.BARE_CR: replies.BARE_ENDINGS,
    BodyFault.BARE_LF: replies.BARE_ENDINGS,
    BodyFault.HIDDEN_DOT: replies.HIDDEN_DOT,
}
_BDAT = CommandAnswered("BDAT")
_DATA, _FIRST_CHUNK = DataRequested(), DataRequested(chunked=True)


class _Chunk:
    """One BDAT, while its octets come."""

    __slots__ = ("last", "left", "refusal", "size", "told")

    def __init__(self, size: int, last: bool) -> None:
        self.size = self.left = size
        self.last = last
        self.refusal: Reply | None = None  # to be said when they have come
        self.told = False  # the session knows of it


class ContentConversation(Conversation):
    """A conversation that takes messages; `server.py` puts the other commands on it."""

    __slots__ = ("_body", "_chunk")

    def __init__(self, profile: ServerProfile) -> None:
        super().__init__(profile)
        self._body: BodyReader | _Chunk | None = None  # what comes next is no command
        self._chunk: _Chunk | None = None  # whose leave to be taken is being asked

    @property
    def patience(self) -> float:
        return self.profile.data_timeout if self._body is not None else self.profile.command_timeout

    # --- answers ------------------------------------------------------------------------------------------------------

    def answer_each(self, each: Sequence[Reply]) -> None:
        """LMTP: answer BodyEnd for each accepted recipient, in order (RFC 2033 §4.2)."""
        if self.profile.dialect is not Dialect.LMTP or len(each) != self._progress.recipients:
            raise ProtocolMisuse("one reply for each accepted recipient, in LMTP only")
        self._expect(ContentConversation._body_answered)
        self._out.extend(one.wire for one in each)
        if any(one.code < 300 for one in each):
            self._progress.idle = self.profile.max_idle_commands
        self._progress.end_transaction()
        self._interrupt_now()

    def accept_body(self) -> None:
        """Answer DataRequested: 354, and the content may come. A chunk comes unasked."""
        self._expect(ContentConversation._data_refused)
        profile, chunk = self.profile, self._chunk
        if chunk is None:
            self._out.append(replies.START_MAIL.wire)
            self._body = BodyReader(profile.max_size, repair_bare_lf=profile.repair_bare_lf)
        else:
            binary = "BINARYMIME" in self._progress.asks
            content = ChunkReader(profile.max_size, repair_bare_lf=profile.repair_bare_lf, binary=binary)
            self._progress.begin_content(content)
            self._open_chunk(chunk, content)
        self._interrupt_now()

    # --- what an answer does ------------------------------------------------------------------------------------------

    def _data_refused(self, reply: Reply) -> None:
        if reply.is_positive:
            raise ProtocolMisuse("a body is accepted by accept_body()")
        self._progress.end_transaction()
        if self._chunk is None:
            self._out.append(reply.wire)
        else:
            self._swallow(self._chunk, reply, told=True)

    def _body_answered(self, reply: Reply) -> None:
        each = self._progress.recipients if self.profile.dialect is Dialect.LMTP else 1  # RFC 2033 §4.2
        self._out.append(reply.wire * each)
        if reply.code < 300:
            self._progress.idle = self.profile.max_idle_commands
        self._progress.end_transaction()

    def _chunk_refused(self, reply: Reply) -> None:
        """A chunk before the last, refused: one reply in LMTP too; what was sent behind it is refused as well."""
        self._out.append(reply.wire)
        self._progress.end_transaction()
        self._progress.lost = True

    # --- octets -------------------------------------------------------------------------------------------------------

    def _read_body(self, body: BodyReader) -> Event | Signal:
        data = self._buffer.take_all()
        if not data:
            return self._need_data()
        content, rest = body.feed(data)
        if rest is None:
            return BodyChunk(content) if content else self._need_data()
        if rest:
            self._buffer.feed(rest)
        self._body = None
        self._answered = ContentConversation._body_answered
        end = BodyEnd(body.fault, body.size, body.flags)
        if not content:
            return end
        self._events.append(end)
        return BodyChunk(content)

    def _open_chunk(self, chunk: _Chunk, content: ChunkReader) -> None:
        self._chunk = None
        content.open(chunk.size, last=chunk.last)
        self._body = chunk

    def _swallow(self, chunk: _Chunk, refusal: Reply, *, told: bool) -> None:
        """A chunk is refused once it has come, whatever is in it (RFC 3030 §4.2)."""
        self._chunk = None
        chunk.refusal, chunk.told = refusal, told
        self._body = chunk

    def _read_chunk(self, chunk: _Chunk) -> Event | Signal:
        data = self._buffer.take(chunk.left)
        chunk.left -= len(data)
        if chunk.left and not data:
            return self._need_data()
        if chunk.refusal is not None:
            return self._need_data() if chunk.left else self._refuse_chunk(chunk, chunk.refusal)
        reader = self._progress.content
        assert reader is not None
        content = reader.feed(data)
        if chunk.left:
            return BodyChunk(content) if content else self._need_data()
        self._body = None
        event = self._chunk_taken(chunk, reader)
        if not content:
            return event
        self._events.append(event)
        return BodyChunk(content)

    def _chunk_taken(self, chunk: _Chunk, reader: ChunkReader) -> Event:
        """A chunk has come whole: the next may follow, or the content is complete, or it is refused here and now."""
        if not reader.is_over:
            self._out.append(b"250 2.0.0 %d octets received\r\n" % chunk.size)
            return _BDAT
        self._answered = ContentConversation._body_answered if chunk.last else ContentConversation._chunk_refused
        return BodyEnd(reader.fault, reader.size, reader.flags)

    def _refuse_chunk(self, chunk: _Chunk, refusal: Reply) -> Event:
        """One mistake, not one for each chunk that was already on its way."""
        self._body = None
        lost, self._progress.lost = self._progress.lost, True
        if not lost and not chunk.told:
            return self._refuse(refusal, "BDAT", "BDAT")
        return self._answer_idle(refusal, _BDAT)

    # --- commands -----------------------------------------------------------------------------------------------------

    def _data_command(self, _command: Plain) -> Event:
        refusal = against_data(self._progress)
        if refusal is not None:
            return self._refuse(refusal, "DATA", "DATA")
        self._answered = ContentConversation._data_refused
        return _DATA

    def _bdat_command(self, command: Bdat) -> Event | Signal:
        if command.size > self.profile.max_size:  # no octet of it is worth reading
            return self._refuse_and_end(replies.TOO_LARGE, f"BDAT {command.size}")
        chunk = _Chunk(command.size, command.last)
        refusal = against_bdat(self._progress, self.profile)
        if refusal is not None:
            self._swallow(chunk, refusal, told=False)
            return self._read_chunk(chunk)
        if self._progress.content is not None:
            self._open_chunk(chunk, self._progress.content)
            return self._read_chunk(chunk)
        self._chunk = chunk
        self._answered = ContentConversation._data_refused
        return _FIRST_CHUNK

    def _stop(self) -> None:
        super()._stop()
        self._body = self._chunk = None
        self._progress.end_transaction()
