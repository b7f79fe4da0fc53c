"""Decode the bytes of an event stream into events; pure.

May import nothing of the package. The core, the runtimes and the public clients call it.
"""
