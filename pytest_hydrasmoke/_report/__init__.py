"""What a run did, as plain data, and the views of it: JSON, HTML, HAR, JUnit, GitHub, terminal.

May import `_settings`, `_core`, `_api` and `_journal`; a view decides nothing. The plugin and the
commands call it.
"""
