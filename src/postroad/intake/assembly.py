"""Put acceptance together from ports and settings; `app.build` calls it once."""

from __future__ import annotations

from datetime import timedelta

from postroad.accounts.ownership import OwnAddresses
from postroad.config.schema import DeliverySettings, Limits, Submission
from postroad.events.recorder import Recorder
from postroad.intake.checks import Policy
from postroad.intake.checks.ownership import Ownership
from postroad.intake.checks.sending import Sending
from postroad.intake.commit import Birth, Committer, Steady
from postroad.intake.patience import Patience
from postroad.intake.pipeline import Intake, Services
from postroad.intake.programs import Programs
from postroad.intake.refusals import RefusalBuffer
from postroad.intake.rendering import Renderer
from postroad.intake.scanners import Scanning
from postroad.ports.blobs import BlobStore
from postroad.ports.clock import Clock
from postroad.ports.ids import IdSource
from postroad.ports.signals import Signals
from postroad.ports.store import Store
from postroad.ports.workers import Workers
from postroad.routing.directory import Directory

MIN_TAKEOVER = 1800.0  # seconds: longer than one attempt can take, final dot and all (RFC 5321 §4.5.3.2.6)


def assemble(
    store: Store,
    blobs: BlobStore,
    *,
    workers: Workers,
    clock: Clock,
    ids: IdSource,
    signals: Signals,
    directory: Directory,
    limits: Limits,
    delivery: DeliverySettings,
    hostname: str,
    programs: Programs | None = None,
    submission: Submission | None = None,
    sending: Sending | None = None,
    scanning: Scanning | None = None,
    steady: Steady = lambda wall: wall,
) -> Intake:
    """Acceptance for this process. Where it sends too, call `Intake.hand_to` next."""
    patience = Patience(clock)
    recorder = Recorder(ids)
    committer = Committer(
        store,
        renderer=Renderer(blobs, workers),
        directory=directory,
        patience=patience,
        recorder=recorder,
        ids=ids,
        signals=signals,
        birth=_birth(delivery),
        steady=steady,
    )
    services = Services(
        store=store,
        blobs=blobs,
        directory=directory,
        committer=committer,
        recorder=recorder,
        refusals=RefusalBuffer(store, clock),
        patience=patience,
        ids=ids,
        clock=clock,
        programs=programs,
        ownership=Ownership(
            OwnAddresses(store, signals, directory.rules.delimiter),
            directory.is_ours,
            (submission or Submission()).send_as,
        ),
        sending=sending,
        scanning=scanning if scanning is not None and scanning.scanners else None,
    )
    return Intake(services, _policy(store, limits, hostname), hostname)


def _birth(delivery: DeliverySettings) -> Birth:
    second_try = max(delivery.retry_waits[0], MIN_TAKEOVER)
    return Birth(timedelta(seconds=second_try), timedelta(seconds=delivery.expire_after))


def _policy(store: Store, limits: Limits, hostname: str) -> Policy:
    return Policy(
        max_message_size=limits.max_message_size,
        max_recipients=limits.max_recipients,
        max_received_fields=limits.max_received_fields,
        max_header_size=limits.max_header_size,
        has_room=store.has_room,
        hostname=hostname,
        max_own_received_fields=limits.max_own_received_fields,
    )
