"""One question, many agents, in the time of the slowest.

Data flow: selectors or a panel -> ``plan`` (targets, and what is refused before any call) -> ``engine`` (events as they
come: started, delta, ended) -> ``result`` (one frozen answer per target, a tally that adds up) -> ``aggregate``. What
may not live here: finding instances and keys (the door hands them in), drawing, and judging an answer's form.
"""
