"""An instance's life: provision to ready, chat turns, LLM events, deletion, and its story.

An `Instance` is what its run knows of one, a handle what can be done with it. Its target is what a
chat turn needs of it; a deletion is one instance's, and a clean-up the end of many.
"""
