"""What happened in a run: typed events, one writer for each process, and what follows from them.

The life of an instance writes events; reports and commands read them.
"""
