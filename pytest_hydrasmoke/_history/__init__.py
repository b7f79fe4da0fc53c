"""The history of many runs: their reports are read, merged by pipeline run, and compared.

May import `_report`, `_journal` (names alone) and `_base`. `_cli.history` calls it. Reports are
other jobs' artifacts: nothing in them is trusted.
"""
