"""What takes part in a pytest run once it is switched on.

It may import everything.
`plugin` calls it, lazily.
"""
