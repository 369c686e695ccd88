"""Which apps a command means: the same selectors everywhere, and errors that list what there is."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from difyops.api.model import App
from difyops.errors import SelectorError
from difyops.targets import matching, pick, select, slug


def app(name: str, number: int = 0, mode: str = "workflow", *tags: str) -> App:
    return App(id=f"00000000-0000-4000-8000-{number:012d}", name=name, mode=mode, tags=tags)


APPS = [
    app("Support Triage", 1, "workflow", "prod", "support"),
    app("support-faq", 2, "advanced-chat", "prod"),
    app("Ümläut & Co.", 3, "chat"),
    app("Twin", 4),
    app("Twin", 5, "chat"),
    app("[beta] router", 6, "agent-chat", "beta"),
    app("007", 7, "completion"),
]


def names(*selectors: str) -> list[str]:
    return [f"{item.name}/{item.id[-1]}" for item in select(APPS, selectors)]


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        (APPS[3].id, ["Twin/4"]),
        ("Support Triage", ["Support Triage/1"]),
        ("support-triage", ["Support Triage/1"]),
        ("support-*", ["support-faq/2"]),
        ("[Ss]upport*", ["Support Triage/1", "support-faq/2"]),
        ("ümläut-co", ["Ümläut & Co./3"]),
        ("[beta] router", ["[beta] router/6"]),
        ("tag:prod", ["Support Triage/1", "support-faq/2"]),
        ("mode:chat", ["Ümläut & Co./3", "Twin/5"]),
        ("007", ["007/7"]),
        ("T*n", ["Twin/4", "Twin/5"]),
    ],
)
def test_each_kind_of_selector(selector: str, found: list[str]) -> None:
    assert names(selector) == found


def test_all_means_all_and_several_selectors_add_up_without_repeating() -> None:
    assert len(names("all")) == len(APPS)
    assert names("mode:chat", "Support Triage", "tag:support", " 007 ") == [
        "Support Triage/1",
        "Ümläut & Co./3",
        "Twin/5",
        "007/7",
    ]


@pytest.mark.parametrize(
    "selector", ["nope", "nope*", "tag:nope", "mode:nope", "tag:", "00000000-0000-4000-8000-000000000099"]
)
def test_what_matches_nothing_is_an_error_that_lists_what_there_is(selector: str) -> None:
    with pytest.raises(SelectorError, match="No app matches") as caught:
        names("all", selector)
    assert "Support Triage" in (caught.value.hint or "")
    assert caught.value.exit_code == 2


def test_a_near_miss_gets_a_guess() -> None:
    with pytest.raises(SelectorError) as caught:
        names("Suport Triage")
    assert caught.value.hint == "Did you mean 'Support Triage'?"


@pytest.mark.parametrize("selector", ["Twin", "twin"])
def test_a_name_that_two_apps_share_lists_both_with_their_ids(selector: str) -> None:
    for act in (lambda: select(APPS, [selector]), lambda: pick(APPS, selector)):
        with pytest.raises(SelectorError, match="means 2 apps") as caught:
            act()
        assert APPS[3].id in (caught.value.hint or "")
        assert APPS[4].id in (caught.value.hint or "")


def test_one_of_them_is_reached_by_its_id() -> None:
    assert pick(APPS, APPS[4].id).mode == "chat"


def test_where_one_is_wanted_a_glob_must_match_one() -> None:
    assert pick(APPS, "support-f*").name == "support-faq"
    with pytest.raises(SelectorError, match="means 2 apps"):
        pick(APPS, "tag:prod")


def test_an_empty_workspace_says_so() -> None:
    with pytest.raises(SelectorError) as caught:
        select([], ["x"])
    assert caught.value.hint == "The workspace has no apps."


def test_a_long_list_is_cut_and_counted() -> None:
    with pytest.raises(SelectorError) as caught:
        select([app(f"app {number}", number) for number in range(500)], ["zzz"])
    assert "and 488 more" in (caught.value.hint or "")


@pytest.mark.parametrize("nothing", [[], [""], ["  "]])
def test_no_selector_is_an_error(nothing: list[str]) -> None:
    with pytest.raises(SelectorError, match="No selector"):
        select(APPS, nothing)


class TestFiles:
    """``@file``: one selector a line."""

    def test_lines_comments_and_spaces(self, tmp_path: Path) -> None:
        (tmp_path / "f").write_text("# nightly\n\n  Support Triage \nmode:completion\r\n")
        assert names(f"@{tmp_path}/f") == ["Support Triage/1", "007/7"]

    @pytest.mark.parametrize(
        ("content", "words"),
        [(b"# nothing\n", "names no app"), (b"a\n@other\n", ":2: a selector file cannot"), (b"\xff\xfe", "UTF-8")],
    )
    def test_broken_ones_are_named(self, tmp_path: Path, content: bytes, words: str) -> None:
        (tmp_path / "f").write_bytes(content)
        with pytest.raises(SelectorError, match=words):
            names(f"@{tmp_path}/f")

    def test_missing_ones_are_named(self, tmp_path: Path) -> None:
        for path in (tmp_path / "missing", tmp_path, ""):
            with pytest.raises(SelectorError, match="cannot be read"):
                names(f"@{path}")


apps = st.lists(st.text(min_size=1, max_size=8), max_size=8).map(
    lambda found: [app(name, number) for number, name in enumerate(found)]
)


@given(apps, st.text(max_size=10))
def test_any_selector_gives_apps_in_order_or_an_error_of_ours(found: list[App], selector: str) -> None:
    if selector.startswith("@"):
        return
    try:
        chosen = select(found, [selector])
    except SelectorError:
        return
    assert chosen
    assert chosen == [item for item in found if item in chosen]


@given(apps)
def test_every_app_is_reached_by_its_id_and_a_unique_name(found: list[App]) -> None:
    for item in found:
        assert matching(found, item.id) == [item]
        same = [other for other in found if other.name == item.name]
        if len(same) == 1 and item.name != "all" and not item.name.startswith(("tag:", "mode:")):
            assert matching(found, item.name) == [item]


@given(st.text())
def test_a_slug_is_stable_and_plain(name: str) -> None:
    made = slug(name)
    assert slug(made) == made
    assert "--" not in made
    assert not any(character.isspace() for character in made)
