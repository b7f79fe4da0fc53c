"""The six calls: their requests, which answers are retried, and what an answer means.

It may import `_transport`.
The core, runs, the commands and the public clients call it.
"""
