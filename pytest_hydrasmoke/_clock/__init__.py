"""Time that passes only when everybody waits, and the network by such a time.

It may import `_transport`, which does not know it.
Sessions and public clients call it where they are given a `VirtualClock`.
"""
