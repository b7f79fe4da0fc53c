"""Where settings come from, and the typed result."""
