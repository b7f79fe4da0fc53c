"""Decode the bytes of an event stream into events; pure."""
