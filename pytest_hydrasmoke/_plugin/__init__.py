"""The plugin's part in a pytest run, once it is switched on.

May import everything. `plugin` calls it, lazily.
"""
