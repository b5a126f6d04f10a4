"""The composition root: which parts the house is made of, from its settings."""

import asyncio
import datetime
import functools
import importlib.metadata
import random
import secrets
import signal
import time
import uuid
from wsgiref.simple_server import WSGIServer

import prometheus_client
from prometheus_client.registry import CollectorRegistry

import artifacts
from services.api.guards import ROOM_NAMES, Secrets
from services.api.server import Api, Listen
from services.dispatch.celery_dispatcher import CeleryDispatcher, NoDispatcher
from services.domain.seals import Keys
from services.housekeeping.measures import HouseCollector
from services.housekeeping.reclaim_leases import LeaseReclaimer
from services.housekeeping.relay_outbox import relay_outbox
from services.housekeeping.ring_again import ring_again
from services.housekeeping.rounds import Caretaker, Housekeeping
from services.housekeeping.tidy_up import CheckpointCollector, forget_workers, remove_leftovers, remove_uploads
from services.ports import Clock, Dispatcher, House, Leases
from services.reviews.expire_seats import expire_seats
from services.settings import InvalidSetting, Settings, check_listening, read_secret
from services.storage.schema import current_revision, newest_revision
from services.storage.unit_of_work import SqlStorage

RELAY_INTERVAL_S = 0.1  # a submitted job is heard of within this time
TIDY_INTERVAL_S = 60.0
REMOVE_INTERVAL_S = 600.0
SEATS_INTERVAL_S = 15.0  # half the shortest lease; whoever finds nothing left does not wait for it
LEFTOVERS_INTERVAL_S = 3600.0  # it lists the whole store


class SystemClock:
    """The clocks of this host."""

    def now(self) -> datetime.datetime:
        """Return the time, in UTC."""
        return datetime.datetime.now(datetime.UTC)

    def monotonic_s(self) -> float:
        """Return seconds that never go backwards, and that count while the machine sleeps where that can be had."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class SystemChance:
    """What is new and random, from the system."""

    def uid(self) -> str:
        """Return a UUID that was never used."""
        return str(uuid.uuid4())

    def seed(self) -> int:
        """Return a number of 32 bits."""
        return secrets.randbits(32)

    def jitter(self) -> float:
        """Return a number from -1 to 1."""
        return random.uniform(-1.0, 1.0)


def make_house(settings: Settings, *, storage: SqlStorage, clock: Clock | None = None) -> House:
    """Return the house of these settings. Connects to nothing yet. Raises: InvalidSetting."""
    try:
        store = artifacts.open_store(settings.artifacts_url)
    except artifacts.InvalidStoreUrl as error:
        raise InvalidSetting(f"TUTELAGE_ARTIFACTS_URL cannot be used: {error}") from error
    return House(
        storage=storage,
        dispatcher=make_dispatcher(settings.broker_url),
        store=store,
        clock=clock or SystemClock(),
        chance=SystemChance(),
        keys=Keys(read_secret(settings.secrets_dir, "services")),
        leases=Leases(lease_s=settings.lease_seconds, heartbeat_s=settings.heartbeat_seconds),
        version=software_version(),
    )


def open_storage(url: str) -> SqlStorage:
    """Return the storage behind a URL. Connects to nothing yet. Raises: InvalidSetting."""
    try:
        return SqlStorage.at(url)
    except (ValueError, OSError) as error:
        raise InvalidSetting(f"TUTELAGE_DATABASE_URL cannot be used: {error}") from error


def make_dispatcher(broker_url: str) -> Dispatcher:
    """Return who rings the bells; nobody, without a broker."""
    return CeleryDispatcher(broker_url) if broker_url else NoDispatcher()


def make_housekeeping(house: House, settings: Settings) -> Housekeeping:
    """Return the caretakers of the house, not yet at work."""
    reclaimer = LeaseReclaimer(house, sweep_s=settings.sweep_seconds)
    again = functools.partial(ring_again, house, waiting_s=settings.rering_seconds)
    caretakers = [
        Caretaker(name="relay-outbox", interval_s=RELAY_INTERVAL_S, deed=functools.partial(relay_outbox, house)),
        Caretaker(name="ring-again", interval_s=min(settings.rering_seconds, settings.sweep_seconds), deed=again),
        Caretaker(name="reclaim-leases", interval_s=settings.sweep_seconds, deed=reclaimer.run),
        Caretaker(name="collect-checkpoints", interval_s=TIDY_INTERVAL_S, deed=CheckpointCollector(house).run),
        Caretaker(name="expire-seats", interval_s=SEATS_INTERVAL_S, deed=functools.partial(expire_seats, house)),
        Caretaker(name="forget-workers", interval_s=TIDY_INTERVAL_S, deed=functools.partial(forget_workers, house)),
        Caretaker(name="remove-uploads", interval_s=REMOVE_INTERVAL_S, deed=functools.partial(remove_uploads, house)),
        Caretaker(
            name="remove-leftovers", interval_s=LEFTOVERS_INTERVAL_S, deed=functools.partial(remove_leftovers, house)
        ),
    ]
    return Housekeeping(caretakers)


def software_version() -> str:
    """Return the version of the installed software."""
    return importlib.metadata.version("tutelage-server")


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain. Raises: InvalidSetting."""
    check_listening(settings)
    storage = open_storage(settings.database_url)
    check_schema(storage)
    house = make_house(settings, storage=storage)
    listen = Listen(public=settings.services_listen, internal=settings.services_internal_listen)
    api = Api(house, secrets=read_room_secrets(settings), listen=listen)
    housekeeping = make_housekeeping(house, settings)
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    measured = start_measuring(house, settings.services_metrics_listen)
    try:
        await api.start()
    except RuntimeError as error:
        raise InvalidSetting(
            f"TUTELAGE_SERVICES_LISTEN or TUTELAGE_SERVICES_INTERNAL_LISTEN: {_plain(error)}"
        ) from error
    housekeeping.start()
    await over.wait()
    await api.drain()
    await asyncio.to_thread(housekeeping.stop)
    if measured is not None:
        measured.shutdown()
    storage.close()


def check_schema(storage: SqlStorage) -> None:
    """Refuse to serve from a database of another version. Raises: InvalidSetting."""
    found, wanted = current_revision(storage.engine), newest_revision()
    if found != wanted:
        raise InvalidSetting(f"the database is at revision {found}, and this software needs {wanted}: run `migrate`")


def read_room_secrets(settings: Settings) -> Secrets:
    """Return what proves who calls. Raises: InvalidSetting."""
    secrets_dir = settings.secrets_dir
    return Secrets(
        principal=read_secret(secrets_dir, "principal"),
        rooms={room: read_secret(secrets_dir, name) for room, name in ROOM_NAMES.items()},
    )


def start_measuring(house: House, listen: str) -> WSGIServer | None:
    """Serve /metrics at `host:port`, or nothing for an empty address. Raises: InvalidSetting."""
    if not listen:
        return None
    host, _, port = listen.rpartition(":")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(HouseCollector(house))
    try:
        server, _thread = prometheus_client.start_http_server(int(port), addr=host.strip("[]"), registry=registry)
    except (OSError, UnicodeError) as error:
        raise InvalidSetting(f"TUTELAGE_SERVICES_METRICS_LISTEN: nobody can listen at {listen}: {error}") from error
    return server


def _plain(error: RuntimeError) -> str:
    """What gRPC says of an address that it cannot have, without its advice to debug it."""
    return f"{str(error).partition(';')[0]}: is it taken, or not of this machine?"
