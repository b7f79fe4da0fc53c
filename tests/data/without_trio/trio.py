"""Stand before the real trio where processes that tests start look for it."""

raise ImportError("processes that tests start have no trio, as most users have none")
