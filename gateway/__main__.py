"""`python -m gateway`: opens the front door, and closes it in good order."""

import asyncio
import logging
import os
import signal
import sys

from gateway.logs import log_to_stderr
from gateway.settings import BadSettingsError, Settings, read_settings
from gateway.wiring import Gateway

logger = logging.getLogger("gateway")


def main() -> int:
    """Runs until SIGTERM or SIGINT. Returns 0, or 2 if the gateway cannot start with its settings."""
    log_to_stderr()
    try:
        settings = read_settings(os.environ)
        asyncio.run(serve(settings))
    except (BadSettingsError, OSError, RuntimeError) as error:
        logger.error("The gateway does not start: %s", error)
        return 2
    return 0


async def serve(settings: Settings) -> None:
    """Serves until a signal asks to leave."""
    leave = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, leave.set)
    if settings.in_the_open:
        logger.warning("API keys travel unencrypted on %s", ", ".join(settings.in_the_open))
    gateway = Gateway(settings)
    listening = await gateway.start()
    logger.info("listening", extra={"fields": listening})
    await leave.wait()
    logger.info("draining")
    await gateway.stop()
    logger.info("stopped")


if __name__ == "__main__":
    sys.exit(main())
