"""A module whose check has no help."""


async def check(scene: object, *, apps: list[str]) -> None:
    return None
