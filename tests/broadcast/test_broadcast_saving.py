"""``--save`` and ``--resume``: a file that is valid wherever it is cut."""

from __future__ import annotations

import tempfile
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from difyops.broadcast import saving
from difyops.broadcast.answer import STATUSES, AgentAnswer
from difyops.errors import Refused, UsageError

MADE = st.builds(
    AgentAnswer,
    target=st.sampled_from(["a/1", "a/2", "b/1", "b/1#2"]),
    context=st.just("a"),
    app_id=st.just("1"),
    app=st.text(max_size=8),
    mode=st.just("chat"),
    status=st.sampled_from(STATUSES),
    text=st.text(max_size=30),
    tokens=st.none() | st.integers(1, 99),
    price=st.none() | st.decimals("0.0000001", 9, places=7),
    seconds=st.none() | st.floats(0.001, 99),
)


def answer(target: str, status: str = "answered", text: str = "fine") -> AgentAnswer:
    return AgentAnswer(target=target, context="a", app_id="1", app="bot", mode="chat", status=status, text=text)


def write(path: Path, *answers: AgentAnswer, question: str = "Well?") -> bytes:
    saver = saving.Saver.create(path, question=question, user="me")
    for item in answers:
        saver.add(item)
    saver.close()
    return path.read_bytes()


@settings(max_examples=60, deadline=None)
@given(st.lists(MADE, max_size=6), st.floats(0, 1))
def test_a_file_cut_anywhere_behind_its_head_holds_the_answers_that_are_whole(
    answers: list[AgentAnswer], share: float
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "saved.ndjson"
        content = write(path, *answers)
        head = content.index(b"\n") + 1
        cut = head + int((len(content) - head) * share)
        path.write_bytes(content[:cut])
        saved = saving.read(path)
        whole = answers[: content[:cut].count(b"\n") - 1]
        assert {item.target: item for item in saved.answers} == {item.target: item for item in whole}


def test_a_resumed_file_goes_on_behind_its_last_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "saved.ndjson"
    content = write(path, answer("a/1"), answer("a/2"))
    path.write_bytes(content[:-7])
    saved = saving.read(path)
    saver = saving.Saver.go_on(path, saved)
    saver.add(answer("a/3"))
    saver.close()
    assert [item.target for item in saving.read(path).answers] == ["a/1", "a/3"]


def test_only_whole_answers_count_as_done_and_the_last_word_counts(tmp_path: Path) -> None:
    path = tmp_path / "saved.ndjson"
    write(path, answer("a/1", "failed"), answer("a/2", "stopped"), answer("a/3"), answer("a/1"))
    saved = saving.read(path)
    assert [item.target for item in saved.done] == ["a/1", "a/3"]
    assert (saved.question, saved.user) == ("Well?", "me")


def test_a_file_that_is_there_is_not_overwritten_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "saved.ndjson"
    write(path)
    assert path.stat().st_mode & 0o077 == 0
    with pytest.raises(Refused):
        saving.Saver.create(path, question="?", user="me")


def test_the_answers_to_another_question_are_not_mixed_in(tmp_path: Path) -> None:
    path = tmp_path / "saved.ndjson"
    write(path)
    with pytest.raises(Refused):
        saving.same_question(saving.read(path), "Another?", path)


@pytest.mark.parametrize("content", [b"", b"{}\n", b"words\n", b'{"format":"difyops.broadcast/v1"}\nwords\n', b"[1]\n"])
def test_a_file_that_is_none_of_ours_is_a_usage_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(UsageError):
        saving.read(path)


def test_prices_keep_every_digit(tmp_path: Path) -> None:
    path = tmp_path / "saved.ndjson"
    paid = AgentAnswer(
        target="a/1", context="a", app_id="1", app="b", mode="chat", status="answered", price=Decimal("9.0E-7")
    )
    write(path, paid)
    assert saving.read(path).answers[0].price == Decimal("0.00000090")


def test_no_key_reaches_the_file(tmp_path: Path) -> None:
    path = tmp_path / "saved.ndjson"
    content = write(path, answer("a/1", text="my key is app-abcdefghijklmnopqrstuvwx"))
    assert b"app-abcdefghijklmnopqrstuvwx" not in content
