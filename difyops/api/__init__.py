"""The platform client: the only home of the HTTP library and the only place where wire and model meet.

``instance`` connects, ``console`` and ``workspace`` manage, ``service`` runs apps, ``knowledge`` reads datasets;
``transport``, ``auth``, ``faults``, ``pages`` and ``sse`` carry them. Everything that waits is async.
"""
