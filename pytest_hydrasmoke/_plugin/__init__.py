"""The plugin's part in a pytest run, once it is switched on.

`switch` watches for signals, `begin_run` makes a `process` of the run, and that one registers the
plugins that see the run through, up to its `run_end`. `plugin` imports it lazily.
"""
