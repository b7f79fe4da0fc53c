"""What agents said, on disk: the format, masking, comparing, the folder.

Pure but for `store`. The plugin writes with it; the fake has a reader of its own.
"""
