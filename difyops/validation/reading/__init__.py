"""Reading answers: one function from a text and a schema to the value, or to why there is none.

``read(text, judge, options)`` is the whole of it. It can be used without the rest of difyops: it imports nothing else
of it, and a schema is anything with ``document``, ``accepts``, ``words``, ``names`` and ``openable``. How it reads,
what each slip costs and what is never done is told in ``docs/validation.md``.
"""

from difyops.validation.reading.model import DEFAULTS, Edit, EnforceOptions, Judge, Reading
from difyops.validation.reading.reader import read

__all__ = ["DEFAULTS", "Edit", "EnforceOptions", "Judge", "Reading", "read"]
