"""Time that passes only while all its users wait, and network I/O by such a clock.

May import `_transport`, which does not know it. Runs and public clients call it where they get
a `VirtualClock`.
"""
