"""The six calls: their requests, which answers are retried, and what an answer means."""
