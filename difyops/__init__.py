"""difyops: the operations layer for Dify-style instances.

Rooms on a spine: ``cli``, ``render`` and ``emulator`` stand on the rooms (``snapshot``, ``broadcast``, ...), the
rooms on the trunk (``api``, ``dsl``, ``git_store``, ...), the trunk on the ground (``errors``, ``clock``,
``secret_text``, ``atomic_file``, ``outcome``). Imports only go down.
"""

__version__ = "0.2.0"
