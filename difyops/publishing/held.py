"""The names under which a publication holds documents in the journal of its change, until that is closed."""

from __future__ import annotations

TARGET = "target"
"""What is to go live."""
FORMER = "former"
"""What was live before."""
PARKED = "parked"
"""Somebody's draft, which comes back."""
SLIPPED = "slipped"
"""A save that went live by our hand, on its way to be kept by name."""
WRITING, WANTED = "writing", "wanted"
"""What we are writing into the draft, and what we wrote last to publish it."""
