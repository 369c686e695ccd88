"""Triggers: what starts workflows by itself, whether it did, and why not.

listing    every trigger with its state, its next slot or its address
firing     one start by hand: a webhook as a caller does it, a schedule as far as the platform lets
runs       what triggers started, from the logs of apps: run lists leave those runs out
eras       which schedules held when, from the published versions
matching   expected slots against runs: on time, late, missed, doubled (pure)
causes     why a slot has no run or too many: a publication, a worker away, a switch, the clocks
audit      all of it for a period
"""
