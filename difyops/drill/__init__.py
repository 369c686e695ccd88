"""Restore drills: the newest snapshot brought back into scratch apps, proven, run, and taken away again."""
