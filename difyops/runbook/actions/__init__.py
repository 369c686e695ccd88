"""Actions, one file each, found by walking this folder. A file has a coroutine ``plan(resources, *, ...) -> Planned``.

``plan`` only reads; what it returns says in words what would be done and how to undo it, and holds the function that
does it. That function runs after the plan was recorded and agreed to; it reads back what it changed.
"""
