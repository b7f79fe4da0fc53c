"""Where settings come from, and the typed result.

May import `_core`, `_api` and `_transport`, and the names of the fake's scenarios.
The plugin, the commands and runs call it.
"""
