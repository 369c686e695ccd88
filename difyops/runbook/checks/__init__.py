"""Checks, one file each, found by walking this folder. A file has one coroutine ``check(scene, *, ...) -> Result``.

A check only reads. What it was asked to measure and did measure is pass, warn or fail; when the measuring itself went
wrong it raises one of our errors, or returns ``Inconclusive``. Nothing else belongs here: what two checks share lives
beside this folder.
"""
