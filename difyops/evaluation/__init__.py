"""Evaluations: cases made of what happened, asked again, compared with what was."""
