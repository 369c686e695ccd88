"""YAML that people wrote is changed in place."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from difyops.dsl.edit import edited
from difyops.dsl.load import dump_yaml, load_yaml
from difyops.dsl.model import DslError

TEXT = """# where it runs
contexts:
  prod:  # the real one
    url: 'https://a.example'
    email: a@b.example
secrets:
  rules:
    - name: "x"
      every: 90d
# the end
"""
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8", exclude_categories=["C"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abcony~1", min_size=1), inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(st.text("abcony~1", min_size=1), VALUES, max_size=4)


def test_what_did_not_change_stays_as_it_was_written() -> None:
    wanted: dict[str, Any] = load_yaml(TEXT)
    assert edited(TEXT, wanted) == TEXT
    wanted["contexts"]["prod"]["email"] = "on"
    wanted["contexts"]["new"] = {"url": "https://n.example", "timeout": 5.0}
    changed = edited(TEXT, wanted)
    assert load_yaml(changed) == wanted
    for kept in (
        "# where it runs\n",
        "prod:  # the real one\n",
        "url: 'https://a.example'",
        '- name: "x"',
        "# the end",
    ):
        assert kept in changed
    del wanted["contexts"]["prod"]
    assert load_yaml(edited(changed, wanted)) == wanted


def test_comments_are_not_lost_where_an_anchor_is_in_the_way() -> None:
    plain = "contexts:\n  one: &same\n    url: https://a.example\n  two: *same\n"
    wanted: dict[str, Any] = load_yaml(plain)
    wanted["contexts"]["two"] = {"url": "https://b.example"}
    assert load_yaml(edited(plain, wanted)) == wanted
    wanted["contexts"]["one"]["email"] = "a@b.example"
    wanted["contexts"]["two"]["timeout"] = 5.0
    assert load_yaml(edited(plain, wanted)) == wanted
    with pytest.raises(DslError, match="lose its comments"):
        edited("# ours\n" + plain, wanted)


@given(DOCUMENTS, DOCUMENTS)
def test_any_document_becomes_any_other(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert load_yaml(edited(dump_yaml(before), after)) == after
