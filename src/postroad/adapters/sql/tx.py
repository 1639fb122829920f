"""The unit of work that transaction functions are given: repositories over one connection."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from postroad.adapters.sql.connection import Connection
from postroad.adapters.sql.names import NameCaches
from postroad.adapters.sql.repositories.admins import Admins, LoginThrottle, Sessions
from postroad.adapters.sql.repositories.apppasswords import AppPasswords
from postroad.adapters.sql.repositories.audit import Audit
from postroad.adapters.sql.repositories.deliveries import Deliveries
from postroad.adapters.sql.repositories.figures import Figures
from postroad.adapters.sql.repositories.greylist import GreyRows
from postroad.adapters.sql.repositories.installation import Meta, Nodes
from postroad.adapters.sql.repositories.ledger import LedgerRows
from postroad.adapters.sql.repositories.mailboxes import Mailboxes, MailboxMessages
from postroad.adapters.sql.repositories.messages import Events, Messages, Refusals
from postroad.adapters.sql.repositories.places import Places
from postroad.adapters.sql.repositories.retention import Retention
from postroad.adapters.sql.repositories.returnpaths import ReturnPaths
from postroad.adapters.sql.repositories.search import SearchRows
from postroad.adapters.sql.repositories.senders import SenderRows
from postroad.adapters.sql.repositories.sending import Idempotency, Servers, Streams, Suppressions
from postroad.adapters.sql.repositories.tenants import Accounts, Aliases, Domains
from postroad.adapters.sql.repositories.tls import TlsRows
from postroad.adapters.sql.repositories.tokens import Tokens


class SqlTx:
    """Cheap to make; repositories come into being when they are asked for."""

    __slots__ = ("_connection", "_names", "_now")

    def __init__(self, connection: Connection, names: NameCaches, now: Callable[[], datetime]) -> None:
        self._connection = connection
        self._names = names
        self._now = now

    @property
    def domains(self) -> Domains:
        return Domains(self._connection)

    @property
    def accounts(self) -> Accounts:
        return Accounts(self._connection)

    @property
    def aliases(self) -> Aliases:
        return Aliases(self._connection)

    @property
    def messages(self) -> Messages:
        return Messages(self._connection)

    @property
    def deliveries(self) -> Deliveries:
        return Deliveries(self._connection, self._names, self._now)

    @property
    def events(self) -> Events:
        return Events(self._connection)

    @property
    def refusals(self) -> Refusals:
        return Refusals(self._connection)

    @property
    def mailboxes(self) -> Mailboxes:
        return Mailboxes(self._connection)

    @property
    def mailbox_messages(self) -> MailboxMessages:
        return MailboxMessages(self._connection, self._names)

    @property
    def nodes(self) -> Nodes:
        return Nodes(self._connection)

    @property
    def meta(self) -> Meta:
        return Meta(self._connection)

    @property
    def ledger(self) -> LedgerRows:
        return LedgerRows(self._connection)

    @property
    def places(self) -> Places:
        return Places(self._connection)

    @property
    def retention(self) -> Retention:
        return Retention(self._connection)

    @property
    def servers(self) -> Servers:
        return Servers(self._connection)

    @property
    def streams(self) -> Streams:
        return Streams(self._connection)

    @property
    def tokens(self) -> Tokens:
        return Tokens(self._connection)

    @property
    def suppressions(self) -> Suppressions:
        return Suppressions(self._connection)

    @property
    def return_paths(self) -> ReturnPaths:
        return ReturnPaths(self._connection)

    @property
    def idempotency(self) -> Idempotency:
        return Idempotency(self._connection)

    @property
    def admins(self) -> Admins:
        return Admins(self._connection)

    @property
    def sessions(self) -> Sessions:
        return Sessions(self._connection)

    @property
    def throttle(self) -> LoginThrottle:
        return LoginThrottle(self._connection)

    @property
    def app_passwords(self) -> AppPasswords:
        return AppPasswords(self._connection)

    @property
    def senders(self) -> SenderRows:
        return SenderRows(self._connection)

    @property
    def audit(self) -> Audit:
        return Audit(self._connection)

    @property
    def search(self) -> SearchRows:
        return SearchRows(self._connection)

    @property
    def figures(self) -> Figures:
        return Figures(self._connection)

    @property
    def tls(self) -> TlsRows:
        return TlsRows(self._connection)

    @property
    def greylist(self) -> GreyRows:
        return GreyRows(self._connection)
