"""Views of a run. Each reads its timeline and decides nothing."""
