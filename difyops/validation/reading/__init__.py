"""Reading answers: one function from a text and a schema to the value, or to why there is none.

``read(text, judge, options)`` is the whole of it; ``at_once`` is its first step, for those who have many valid texts.
It can be used without the rest of difyops: it imports nothing else of it, and a schema is anything with ``document``,
``accepts``, ``words``, ``names`` and ``openable``. How it reads, what each slip costs and what is never done is told in
``docs/validation.md``.
"""

from difyops.validation.reading.answer import UnreadText, at_once, read
from difyops.validation.reading.model import DEFAULTS, Edit, EnforceOptions, Judge, Reading

__all__ = ["DEFAULTS", "Edit", "EnforceOptions", "Judge", "Reading", "UnreadText", "at_once", "read"]
