"""The six calls: what is asked, which answer is retried, and what an answer says.

It may import `_transport`.
The core, the session, the commands and the public clients call it.
"""
