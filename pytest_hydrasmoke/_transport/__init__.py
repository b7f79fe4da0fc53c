"""Requests reach the network: blocking and under anyio, with deadlines, and many at once.

It may import `_base`, and is the only folder that imports httpx and httpcore.
The API, the core and whoever makes a client call it.
"""
