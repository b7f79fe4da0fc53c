"""Shared foundations: errors, the token and safe text, signals, files, names of runs."""
