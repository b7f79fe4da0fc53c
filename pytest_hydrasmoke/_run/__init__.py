"""A run: what each process of it owns, ledger, sharing between processes, sweep.

May import everything below: `_report`, `_settings`, `_core`, `_api`, `_transport`, `instance`.
The plugin and the commands call it.
"""
