"""What a run is doing, shown while it runs.

May import `_core`. The plugin calls it.
"""
