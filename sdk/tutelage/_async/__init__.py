"""The client for asyncio, and the source that the blocking client is generated from."""
