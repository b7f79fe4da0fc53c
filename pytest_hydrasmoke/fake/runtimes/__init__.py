"""A chat turn on the wire, in the frames of each agent runtime; pure.

A module knows what its runtimes send, and nothing of their readers. `sse_events` calls them.
"""
