"""Secrets encrypted in place: marks with keyed fingerprints in the documents, the values in age files beside them."""
