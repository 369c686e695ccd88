"""Snapshots: keep what is live in git, see what changed, go back with proof.

``take`` writes, ``history`` and ``compare`` read, ``drift`` and ``check`` judge, ``plan``, ``rollback`` and ``restore``
bring back. ``layout`` is the one place that knows the store's paths and the manifest.
"""
