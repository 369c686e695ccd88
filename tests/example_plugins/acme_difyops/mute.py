"""A module whose check has no help."""


async def check(resources: object, *, apps: list[str]) -> None:
    return None
