"""What a run did, as plain data, and the views of it: JSON, HTML, JUnit, GitHub, terminal.

A view decides nothing.
"""
