"""An instance's life: provision to ready, chat turns, LLM events, deletion, and the record of it.

May import `_api`, `_transport`, `_runtimes` and `_sse`. Sessions, reports and public clients call
it.
"""
