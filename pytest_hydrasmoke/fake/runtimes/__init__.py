"""A chat turn on the wire, in the frames of each agent runtime; pure.

A module knows what its runtime sends, and nothing of its readers. `sse_events` calls them.
"""
