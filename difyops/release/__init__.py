"""Releases: a new version tried in a copy, published, watched against the old one, and taken back when it is worse.

plan      what is released over what, by which rules: a file that a person can read and nobody can change unseen
sources   where the new version comes from: the draft, a snapshot, a file, another instance
shadow    recorded inputs through copies of both versions, paired, before anything goes live
watch     the runs of the new version against those of the old one, straight from the log
gates     the judge: failures by a wager that may be looked at any time, time and tokens by ranks
run       shadow, publish, watch; finish and undo after a kill
holds     what was taken back by itself, and is not released again unasked
status    releases as they are shown
promote/  an app of one instance over the same app of another: bindings, plan, rings
"""
