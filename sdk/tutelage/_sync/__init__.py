# Generated from tutelage/_async/__init__.py by sdk/generate_sync.py; change it there.
# ruff: noqa: UP028

"""The blocking client, generated from the client for asyncio."""
