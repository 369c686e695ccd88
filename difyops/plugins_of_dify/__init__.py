"""Plugins of Dify: which are there, which are old, who uses them, and an upgrade with a way back.

inventory    installed plugins, and what is newer
holds        which are not to be upgraded, and why: ``plugins:`` in difyops.yaml
uses         every place in every app that names a plugin
plan         what an upgrade would touch; a file that can be looked at, and that goes stale
touched      one app: its version rewritten and published, its draft rewritten, and both put back
upgrade      the change: package, plugin, apps; and its recovery
watching     runs of the touched apps after the upgrade
"""
