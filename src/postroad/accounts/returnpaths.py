"""Where bounces of a domain's, or of one stream's, mail come back to: setting that, and taking it back.

The domain of a return address shall be one below that of the From field, so that SPF speaks for the author (DMARC's
alignment); its DNS has to lead here. Each change is one transaction with its audit row.
"""

from __future__ import annotations

from postroad.accounts.audit import COMMAND_LINE, Action, Actor, Changes, Told
from postroad.accounts.names import read_domain
from postroad.accounts.projects import ServerRef, find_stream
from postroad.ports.clock import Clock
from postroad.ports.sending import ReturnPathRecord
from postroad.ports.store import Refused, Store, Tx

FIRST_LABEL = "bounces"


def usual_name(domain: str) -> str:
    """What is proposed for a domain."""
    return f"{FIRST_LABEL}.{domain}"


class ReturnPaths:
    """What console, API and command line do with them. Refusals are raised as `Refused`."""

    def __init__(self, store: Store, clock: Clock, changes: Changes) -> None:
        self._store = store
        self._clock = clock
        self._changes = changes

    async def of_domain(self, domain: str) -> str:
        """The domain of its return addresses; "" where it has none of its own."""
        records = await self._store.read(lambda tx: tx.return_paths.list())
        return next((record.name for record in records if record.domain == domain), "")

    async def set_of_domain(self, domain: str, name: str = "", *, by: Actor = COMMAND_LINE) -> ReturnPathRecord:
        """Streams that send from this domain say return addresses at `name` from now on."""
        owner = read_domain(domain)
        record = ReturnPathRecord(read_domain(name or usual_name(owner)), self._clock.now(), owner)

        def put(tx: Tx) -> ReturnPathRecord:
            if tx.domains.get(owner) is None:
                raise Refused(f"{owner} is not a domain of this server")
            _refuse_passed_on(tx, record.name)
            tx.return_paths.put(record)
            return record

        return await self._changes.make(by, Action.RETURN_PATH_SET, put, _told)

    async def clear_of_domain(self, domain: str, *, by: Actor = COMMAND_LINE) -> ReturnPathRecord:
        """Back to the server's own. What was sent under the old one comes back in vain from now on."""
        return await self._clear(by, ReturnPathRecord("", self._clock.now(), read_domain(domain)))

    async def set_of_stream(
        self, server: ServerRef, stream: str, name: str, *, by: Actor = COMMAND_LINE
    ) -> ReturnPathRecord:
        """This stream says return addresses at `name`, whatever domain it sends from."""
        wanted, now = read_domain(name), self._clock.now()

        def put(tx: Tx) -> ReturnPathRecord:
            owner, found = find_stream(tx, server, stream)
            _refuse_passed_on(tx, wanted)
            record = ReturnPathRecord(wanted, now, server=owner.id, stream=found.id)
            tx.return_paths.put(record)
            return record

        return await self._changes.make(by, Action.RETURN_PATH_SET, put, _told)

    async def clear_of_stream(self, server: ServerRef, stream: str, *, by: Actor = COMMAND_LINE) -> ReturnPathRecord:
        owner, found = await self._store.read(lambda tx: find_stream(tx, server, stream))
        return await self._clear(by, ReturnPathRecord("", self._clock.now(), server=owner.id, stream=found.id))

    async def _clear(self, by: Actor, of: ReturnPathRecord) -> ReturnPathRecord:
        def remove(tx: Tx) -> ReturnPathRecord:
            if not tx.return_paths.remove(domain=of.domain, server=of.server, stream=of.stream):
                raise Refused(f"{of.domain or of.stream} has no return path of its own")
            return of

        return await self._changes.make(by, Action.RETURN_PATH_CLEARED, remove, _told)


def _refuse_passed_on(tx: Tx, name: str) -> None:
    """Mail to a relay domain goes on to another host: bounces too would end there."""
    found = tx.domains.get(name)
    if found is not None and found.relay_host:
        raise Refused(f"mail to {name} is passed on to {found.relay_host}; bounces have to come here")


def _told(record: ReturnPathRecord) -> Told:
    whose = record.domain or f"{record.server}/{record.stream}"
    return Told(whose, {"name": record.name} if record.name else {})
