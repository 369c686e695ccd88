"""One call of a tool as agents write it: a name and its arguments. The tokens around it are prose to the outline."""

from __future__ import annotations

from difyops.validation.reading.envelopes.parts import OpenedEnvelope, call, calls, objects


def unwrap(value: object) -> OpenedEnvelope | None:
    """Return the arguments of a call, or of a list of one call."""
    if isinstance(value, list) and len(objects(value)) == 1:
        found = list(calls(value, ()))
        return OpenedEnvelope(keys=(str(found[0][0][-1]),), contents=tuple(found)) if found else None
    passed = call(value)
    return OpenedEnvelope(keys=(passed[0],), contents=(((passed[0],), passed[1]),)) if passed else None
