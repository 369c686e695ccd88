"""Runs, node executions and messages, kept here: completely enough, politely read, sampled with known chances."""
