"""What a chat turn looks like on the wire, in the frames of each agent runtime; pure.

A module knows what its runtime sends, and nothing of who reads it. `sse_events` calls them.
"""
