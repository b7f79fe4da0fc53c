"""An instance's life: provision to ready, chat turns, LLM events, deletion, and the record of it.

A record is what its run knows of an instance, a handle what can be done with it. Its partner is
what a chat turn needs of it; a deletion is one instance's, and a clean-up the end of many.

May import `_api`, `_transport`, `_runtimes` and `_sse`. Sessions, reports and public clients call
it.
"""
