"""Promotion: what is live of an app in one instance goes over the same app of another, with everything translated.

bindings   the committed file that says what stands for what
parts      what an instance has, by id and by name, read once for all apps
translate  a document of one instance in the words of another; what cannot be said comes first
plan       the plan file: hashes of both sides, bindings, one release a target
run        ring by ring: the steps of a release in each target; a failed gate stops what comes after
"""
