"""Incidents: what changed and what fails, side by side; which way back there is; the record of what was done.

    model     one app as it is seen, the whole picture, an incident on record
    judging   runs by version: whose failures, since which change
    looking   reading an instance: versions published, runs, the audit trail
    record    incidents in the ledger

It joins what other rooms can do: reading runs (history), versions (snapshot), the audit trail (ledger).
"""
