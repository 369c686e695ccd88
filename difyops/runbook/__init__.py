"""Runbooks that run: YAML in, a verdict with evidence out. The conductor: it may call any other room.

Data flow: YAML -> ``load`` (typed ``Runbook``, or lint problems with file, line and field) -> ``engine`` (steps side
by side; one ``Result`` each) -> ``evidence`` (the ledger) -> ``outputs`` and ``report``. A check or an action is one
file in ``checks`` or ``actions``: file name = its name in YAML (first underscore for the dot), docstring = its help,
keyword-only parameters = its schema. A failed measurement is inconclusive, never a failure.
"""
