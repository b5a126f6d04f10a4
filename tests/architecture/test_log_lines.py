"""All rooms write their log lines with the same keys, so that one search finds what happened in all of them."""

import importlib
import json
import logging

import pytest

ROOMS = {
    "gateway": ("gateway.logs", "JsonFormatter"),
    "services": ("services.logs", "JsonFormatter"),
    "supervisor": ("trainer_worker.supervisor.logs", "JsonLines"),
    "bell": ("trainer_worker.bell.logs", "JsonLines"),
    "sampler": ("trainer_worker.sampler.logs", "JsonLines"),
}


@pytest.mark.parametrize("room", ROOMS)
def test_a_line_says_when_how_bad_where_and_what(room: str) -> None:
    module, formatter = ROOMS[room]
    record = logging.makeLogRecord({"name": "x", "levelno": logging.WARNING, "levelname": "WARNING", "msg": "hello"})
    line = json.loads(getattr(importlib.import_module(module), formatter)().format(record))
    assert (line["level"], line["room"], line["message"]) == ("warning", room, "hello")
    assert line["time"].startswith("20")
