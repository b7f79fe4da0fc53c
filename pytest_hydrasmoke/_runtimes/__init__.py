"""Events become what an agent said, by the words of each agent runtime; pure.

It may import `_sse`.
The core calls it.
"""
