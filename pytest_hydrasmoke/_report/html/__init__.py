"""`report.html`: one page without a script, drawn from the report alone.

May import `_report.model`, `_core` and `_base`. `_report.files` calls it.
"""
