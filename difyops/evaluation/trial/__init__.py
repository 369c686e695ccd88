"""A trial of another version: the same cases through copies of both, and whether more is lost than a margin allows.

classes  cases by how much they ask, or by an input: what is easy may do with less than what is hard
verdict  the judge: pairs in; not worse, worse, or how many more cases would tell
run      copies, replay, checks; nothing of it is left, also after a kill
tier     a smaller model: its plan, its trial, what it saves in a month
"""
