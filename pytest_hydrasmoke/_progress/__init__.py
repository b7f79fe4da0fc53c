"""What a run is doing, told while it runs.

It may import `_core`.
The plugin calls it.
"""
