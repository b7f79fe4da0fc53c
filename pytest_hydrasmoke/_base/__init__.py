"""What every floor stands on: errors, the token and safe words, signals, files, names of runs.

It may import the event type of `_sse` for annotations, and nothing else of the package.
Everything but `fake` and `_sse` calls it.
"""
