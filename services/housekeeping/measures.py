"""What Prometheus reads of the house: lengths that should be short."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from services.ports import House


class HouseCollector(Collector):
    """Asks the database when it is asked."""

    def __init__(self, house: House) -> None:
        self._house = house

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the gauges."""
        with self._house.storage.read() as uow:
            now = uow.now()
            queue = uow.jobs.queue(now=now)
            bells = uow.outbox.count()
            workers = uow.workers.alive(now=now, lease_s=self._house.leases.lease_s)
        yield GaugeMetricFamily("tutelage_jobs_waiting", "Jobs that wait for a worker.", queue.waiting_jobs)
        yield GaugeMetricFamily("tutelage_jobs_held", "Jobs that a worker holds.", queue.held_jobs)
        yield GaugeMetricFamily("tutelage_oldest_wait_seconds", "Age of the oldest waiting job.", queue.oldest_wait_s)
        yield GaugeMetricFamily("tutelage_outbox_bells", "Bells that are still to be rung.", bells)
        yield GaugeMetricFamily("tutelage_workers_alive", "Workers heard from within a lease.", len(workers))
        slots = sum(worker.slots for worker in workers if not worker.draining)
        yield GaugeMetricFamily("tutelage_slots", "Slots of the workers that take jobs.", slots)
