"""The bundled checks: what `pytest --hydra-smoke` proves of a router with no test written.

One instance serves them all, and one more the deletion.
"""
