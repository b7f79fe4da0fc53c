"""The command `hydra-smoke`: check, sweep, fake, history.

May import `_run`, `_report`, `_settings` and what is below them. `__main__` and the entry point
call it.
"""
