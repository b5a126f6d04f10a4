"""How late the loop is: whatever blocks it, blocks every call."""

import asyncio

from prometheus_client import Gauge

PACE_S = 0.5


async def measure_lag(lag: Gauge) -> None:
    """Keeps the gauge at the seconds by which a short sleep overslept last time. Runs until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        began_s = loop.time()
        await asyncio.sleep(PACE_S)
        lag.set(max(0.0, loop.time() - began_s - PACE_S))
