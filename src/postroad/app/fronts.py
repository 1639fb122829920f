"""What stands behind a listener: for each service, the factory of machine and session that its connections share.

Front ends are imported when a listener needs them, so that a node carries only what it speaks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from postroad.adapters.net.listen import Factory
from postroad.app.services import Services
from postroad.config.networks import Networks
from postroad.config.schema import Settings
from postroad.intake.door import Door
from postroad.intake.pipeline import Intake
from postroad.intake.scanners import Scanning
from postroad.mailbox.service import MailboxService
from postroad.ports.apppasswords import Scope

if TYPE_CHECKING:
    from postroad.sessions.idle import IdlePoll
    from postroad.sessions.login import Logins


class Fronts:
    """Makes factories; what several services share is made once, with the first."""

    def __init__(
        self,
        services: Services,
        intake: Intake,
        door: Door,
        poll: IdlePoll,
        scanning: Scanning,
        *,
        has_certificate: bool,
    ) -> None:
        self._services = services
        self._settings: Settings = services.settings
        self._intake = intake
        self._door = door
        self._poll = poll
        self._scanning = scanning
        self._has_certificate = has_certificate
        self._mailboxes = MailboxService(services.store, services.signals, services.ids)
        self._shared: dict[str, Any] = {}

    def factory(self, service: str) -> Factory:
        """Machine and session for one new connection of `service`."""
        secured = service.endswith("s") and service not in ("mx",)
        return _MAKERS[service.removesuffix("s") if secured else service](self, secured)

    def _smtp(self, service: str, secured: bool) -> Factory:
        from postroad.proto.smtp.profile import Dialect, ServerProfile
        from postroad.sessions.smtp import SmtpFront

        limits, dialect = self._settings.limits, Dialect(service)
        submission = dialect is Dialect.SUBMISSION
        logins = self._logins("smtp", Scope.SEND) if submission else None
        profile = ServerProfile(
            hostname=self._settings.hostname,
            dialect=dialect,
            max_size=limits.max_message_size,
            max_recipients=limits.max_recipients,
            max_errors=limits.max_errors,
            max_refused_recipients=limits.max_refused_recipients,
            max_command_line=limits.max_command_line,
            max_transactions=limits.max_transactions,
            max_idle_commands=limits.max_idle_commands,
            starttls=self._has_certificate and not secured,
            secured=secured,
            auth_mechanisms=logins.offered() if logins else (),
            certified_mechanisms=logins.offered(certified=True) if logins else (),
            require_auth=submission,
            command_timeout=limits.mail_timeout,
            data_timeout=limits.data_timeout,
            repair_bare_lf=submission,
            max_hold=int(limits.max_hold),
        )
        services = self._services
        front = SmtpFront(
            service=f"{service}s" if secured else service,
            profile=profile,
            intake=self._intake,
            clock=services.clock,
            ids=services.ids,
            max_unknown_recipients=limits.max_unknown_recipients,
            logins=logins,
            door=self._door if service == "mx" else None,
            gateways=Networks(limits.xclient),
            partners=Networks(limits.partners),
            scanning=self._scanning if self._scanning.looks_at(service) else None,
        )
        return front.connect

    def _mx(self, secured: bool) -> Factory:
        return self._smtp("mx", secured)

    def _lmtp(self, secured: bool) -> Factory:
        return self._smtp("lmtp", secured)

    def _submission(self, secured: bool) -> Factory:
        return self._smtp("submission", secured)

    def _imap(self, secured: bool) -> Factory:
        from postroad.proto.imap.profile import ImapProfile
        from postroad.proto.imap.server import ImapServer
        from postroad.sessions.imap import ImapSession

        limits, shared = self._settings.limits, self._once("imap", self._imap_services)
        profile = ImapProfile(
            hostname=self._settings.hostname,
            starttls=self._has_certificate and not secured,
            secured=secured,
            mechanisms=shared.logins.offered(),
            certified_mechanisms=shared.logins.offered(certified=True),
            max_append=limits.max_message_size,
            max_errors=limits.max_errors,
            idle_timeout=limits.idle_timeout,
            unauthenticated_timeout=limits.unauthenticated_timeout,
            literal_timeout=limits.data_timeout,
        )

        def connect() -> tuple[ImapServer, ImapSession]:
            machine = ImapServer(profile)
            return machine, ImapSession(machine, shared)

        return connect

    def _imap_services(self) -> Any:
        from postroad.mailbox.append import Appender
        from postroad.mailbox.reading import Reader
        from postroad.sessions.imap_core import ImapServices

        services = self._services
        return ImapServices(
            mailboxes=self._mailboxes,
            reader=Reader(services.store, services.blobs, services.workers),
            appender=Appender(
                services.store,
                services.blobs,
                signals=services.signals,
                clock=services.clock,
                ids=services.ids,
                workers=services.workers,
            ),
            logins=self._logins("imap", Scope.READ),
            poll=self._poll,
        )

    def _pop3(self, secured: bool) -> Factory:
        from postroad.proto.pop3.server import Pop3Profile, Pop3Server
        from postroad.sessions.pop3 import Pop3Session

        limits, shared = self._settings.limits, self._once("pop3", self._pop3_services)
        profile = Pop3Profile(
            hostname=self._settings.hostname,
            starttls=self._has_certificate and not secured,
            secured=secured,
            mechanisms=shared.logins.offered(),
            certified_mechanisms=shared.logins.offered(certified=True),
            max_errors=limits.max_errors,
            idle_timeout=limits.pop3_timeout,
            unauthenticated_timeout=limits.unauthenticated_timeout,
        )

        def connect() -> tuple[Pop3Server, Pop3Session]:
            machine = Pop3Server(profile)
            return machine, Pop3Session(machine, shared)

        return connect

    def _pop3_services(self) -> Any:
        from postroad.sessions.pop3 import Pop3Services

        services = self._services
        return Pop3Services(services.store, services.blobs, self._mailboxes, self._logins("pop3", Scope.READ))

    def _logins(self, service: str, scope: Scope) -> Logins:
        """How clients log in, for all listeners that speak the same."""
        from postroad.sessions.login import Delays, Logins

        services, settings = self._services, self._settings
        tokens = () if settings.auth.oauth_issuer else ("OAUTHBEARER", "XOAUTH2")
        return Logins(
            service,
            scope,
            services.authenticator,
            services.clock,
            services.random,
            mechanisms=[name for name in settings.auth.mechanisms if name not in tokens],
            delays=Delays(settings.logins.delay, settings.logins.most_delay),
        )

    def _once(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self._shared:
            self._shared[name] = make()
        return self._shared[name]


_MAKERS: dict[str, Callable[[Fronts, bool], Factory]] = {
    "mx": Fronts._mx,
    "lmtp": Fronts._lmtp,
    "submission": Fronts._submission,
    "imap": Fronts._imap,
    "pop3": Fronts._pop3,
}
