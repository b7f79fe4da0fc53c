"""Requests over the network: blocking and under anyio, with deadlines, and many at once.

But for a fake that stands before a real agent, nothing else imports httpx and httpcore.
"""
