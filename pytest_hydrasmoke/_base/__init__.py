"""Shared foundations: errors, the token and safe text, signals, files, names of runs.

May import the event type of `_sse` for annotations, and nothing else of the package. All folders
but `fake` and `_sse` call it.
"""
