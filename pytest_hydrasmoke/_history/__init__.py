"""The history of many runs: their reports are read, merged by pipeline run, and compared.

Reports are other jobs' artifacts: nothing in them is trusted.
"""
