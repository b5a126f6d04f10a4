"""Streams whose key stops to work are ended, whatever happened to the question before."""

import asyncio
import datetime
from collections.abc import Collection

import pytest

from services.api.streams import OpenStreams, Stream
from services.domain.errors import InvalidKey, Unavailable
from services.domain.projects import ApiKey, Caller, Role

A_TIME = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
KEY = ApiKey(project_id="own", id="abcdefghijkl", display_name="", role=Role.VIEWER, create_time=A_TIME)


@pytest.mark.parametrize("trouble", [Unavailable("the database is away"), RuntimeError("a fault of ours")])
def test_a_check_that_failed_is_made_again(trouble: Exception) -> None:
    async def scenario() -> None:
        answers: list[Exception | Collection[str]] = [trouble, []]

        async def find_working(_key_ids: Collection[str]) -> Collection[str]:
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        watching = asyncio.create_task(asyncio.Event().wait())
        streams = OpenStreams(recheck_s=0.001)
        stream = Stream(Caller(key=KEY, method="tutelage.v1.Jobs/WatchJob", request_id="r"), task=watching)
        streams.add(stream)
        checking = asyncio.create_task(streams.watch_keys(find_working))
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(watching, 5)
        assert isinstance(stream.error, InvalidKey)
        checking.cancel()

    asyncio.run(scenario())
