"""The order of the tests, another one in every run: modules are shuffled, and the tests inside each.

The seed is told at the end; ``make test ARGS='--seed 12345'`` repeats a run's order, ``--seed 0`` keeps the files'.
It also says which part of an exhaustive round a run takes: of tests marked ``exhaustive(3)`` (every step of a change
killed, say) each run does one in three, another third with another seed, and ``make test-long`` does all.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from itertools import groupby
from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--seed", type=int, default=None, help="order of the tests: a number repeats one, 0 is the files' own"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Choose the seed, or take that of the process which started this one: all workers must collect in one order."""
    if hasattr(config, "workerinput"):
        config.option.seed = config.workerinput["seed"]
    elif config.option.seed is None:
        config.option.seed = random.SystemRandom().randrange(1, 100_000)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of xdist the seed."""
    node.workerinput["seed"] = node.config.option.seed


def shuffled(items: list[pytest.Item], seed: int) -> list[pytest.Item]:
    """Return the tests in the order of the seed; a module's tests stay together, for what they share is made once."""
    chance = random.Random(seed)
    modules = [list(group) for _, group in groupby(items, key=lambda item: item.nodeid.partition("::")[0])]
    chance.shuffle(modules)
    for module in modules:
        chance.shuffle(module)
    return [item for module in modules for item in module]


def set_apart(items: list[pytest.Item], seed: int) -> None:
    """Mark as ``long`` what this run leaves out of its exhaustive rounds."""
    for _, group in groupby(items, key=lambda item: item.nodeid.partition("[")[0]):
        same = list(group)
        for number, item in enumerate(same):
            if len(same) == 1:
                continue
            if (mark := item.get_closest_marker("exhaustive")) and (number + seed) % mark.args[0]:
                item.add_marker("long")


@pytest.fixture(params=[5, pytest.param(1, marks=pytest.mark.long)], ids=["a fifth", "all"])
def points(request: pytest.FixtureRequest) -> Iterable[int]:
    """Return the numbers of the steps to try, from 1: one in five, others in another run; or all."""
    each: int = request.param
    return range(1 + request.config.getoption("--seed") % each, 100, each)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    set_apart(items, config.option.seed)
    if config.option.seed:
        items[:] = shuffled(items, config.option.seed)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    terminalreporter.write_line(f"order of the tests: --seed {config.option.seed}")
