"""Requests over the network: blocking and under anyio, with deadlines, and many at once.

May import `_base`, and is the only folder that imports httpx and httpcore. The API, the core and
all code that creates clients call it.
"""
