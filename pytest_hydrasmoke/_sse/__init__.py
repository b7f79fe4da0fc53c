"""Bytes of an event stream become events; pure.

It may import nothing of the package.
The core, the runtimes and the public clients call it.
"""
