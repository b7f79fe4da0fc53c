"""A run: what each process of it owns, ledger, sharing between processes, sweep."""
