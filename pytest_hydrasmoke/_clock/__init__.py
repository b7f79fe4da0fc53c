"""Time that passes only while all its users wait, and network I/O by such a clock."""
