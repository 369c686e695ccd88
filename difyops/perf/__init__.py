"""Performance: what is slow, what changed, what it would bring to make a node faster. Readers of history; no calls."""
