"""Which configuration holds, where each value came from, and what a broken file is told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from difyops import config
from difyops.config import Config, Context, Looking, clean_url, load, save_context
from difyops.errors import ConfigError

ONE = """
default_context: prod
contexts:
  prod:
    url: https://prod.example.com
    email: ops@example.com
    password: env:PROD_PASSWORD
  test:
    url: https://test.example.com/console/api/
    admin_key: keyring:difyops/test
    workspace_id: 00000000-0000-4000-8000-000000000001
    timeout: 12.5
    max_in_flight: 2
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def written(folder: Path, text: str) -> Path:
    path = folder / "difyops.yaml"
    path.write_text(text)
    return path


def loaded(folder: Path, **environment: str) -> Config:
    home = str(folder / "nobody")
    return load(start=folder, environment={"XDG_CONFIG_HOME": home, "XDG_DATA_HOME": home, **environment})


def user_file(folder: Path, text: str) -> None:
    path = folder / "nobody" / "difyops" / "config.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(text)


def test_contexts_are_read_with_all_their_fields(project: Path) -> None:
    written(project, ONE)
    settings = loaded(project)
    assert settings.context().name == "prod"
    test = settings.context("test")
    assert (test.url, test.timeout, test.max_in_flight) == ("https://test.example.com", 12.5, 2)
    assert "project file" in test.source


def test_without_any_file_nothing_is_configured_and_the_hint_says_how(project: Path) -> None:
    with pytest.raises(ConfigError, match="No instance is configured") as caught:
        loaded(project).context()
    assert "DIFY_BASE_URL" in (caught.value.hint or "")


def test_the_only_context_needs_no_choosing_and_several_do(project: Path) -> None:
    written(project, "contexts: {a: {url: 'http://a.example'}}")
    assert loaded(project).context().name == "a"
    written(project, "contexts: {a: {url: 'http://a.example'}, b: {url: 'http://b.example'}}")
    with pytest.raises(ConfigError, match="none is chosen") as caught:
        loaded(project).context()
    assert "a, b" in (caught.value.hint or "")


def test_an_unknown_context_lists_the_known_ones(project: Path) -> None:
    written(project, ONE)
    with pytest.raises(ConfigError, match="prod, test"):
        loaded(project).context("prdo")


def test_the_file_is_found_from_folders_below(project: Path) -> None:
    written(project, ONE)
    deep = project / "a" / "b"
    deep.mkdir(parents=True)
    assert loaded(deep).project_file == project / "difyops.yaml"
    assert loaded(deep).store == project / "snapshots"


def test_the_nearest_file_wins(project: Path) -> None:
    written(project, ONE)
    below = project / "below"
    below.mkdir()
    written(below, "contexts: {near: {url: 'http://near.example'}}")
    assert set(loaded(below).contexts) == {"near"}


class TestPrecedence:
    """Flag over environment over project over user over default; but a found file hides nothing of the user's."""

    def test_the_users_context_wins_over_one_that_is_found_and_it_is_said(self, project: Path) -> None:
        user_file(project, "contexts: {prod: {url: 'http://user.example'}, mine: {url: 'http://mine.example'}}")
        path = written(project, ONE)
        settings = loaded(project)
        assert set(settings.contexts) == {"prod", "test", "mine"}
        assert settings.context("prod").url == "http://user.example"
        assert "user file" in settings.context("mine").source
        assert len(settings.warnings) == 1
        assert str(path) in settings.warnings[0]
        assert "'prod'" in settings.warnings[0]

    def test_a_named_file_wins_over_the_users(self, project: Path) -> None:
        user_file(project, "contexts: {prod: {url: 'http://user.example'}}")
        path = written(project, ONE)
        for settings in (
            loaded(project, DIFYOPS_CONFIG=str(path)),
            load(environment={"XDG_CONFIG_HOME": str(project / "nobody")}, looking=Looking(file=path)),
        ):
            assert settings.context("prod").url == "https://prod.example.com"
            assert settings.warnings == ()
            assert settings.store == project / "snapshots"

    def test_two_that_say_the_same_are_no_news(self, project: Path) -> None:
        user_file(project, "contexts: {prod: {url: 'http://user.example'}}")
        written(project, "contexts: {prod: {url: 'http://user.example'}}")
        assert loaded(project).warnings == ()

    def test_a_named_file_that_is_not_there_is_told(self, project: Path) -> None:
        with pytest.raises(ConfigError, match=r"DIFYOPS_CONFIG: there is no file /nowhere\.yaml"):
            loaded(project, DIFYOPS_CONFIG="/nowhere.yaml")

    def test_the_environment_wins_over_the_files(self, project: Path) -> None:
        written(project, ONE)
        settings = loaded(project, DIFY_BASE_URL="http://env.example", DIFYOPS_STORE="/srv/env-store")
        assert settings.context().url == "http://env.example"
        assert settings.context("prod").url == "https://prod.example.com"
        assert (settings.store, settings.origins["store"]) == (Path("/srv/env-store"), "environment DIFYOPS_STORE")

    def test_a_context_chosen_by_the_environment_wins_over_the_default(self, project: Path) -> None:
        written(project, ONE)
        settings = loaded(project, DIFYOPS_CONTEXT="test")
        assert (settings.context().name, settings.origins["default_context"]) == (
            "test",
            "environment DIFYOPS_CONTEXT",
        )

    def test_the_flag_wins_over_the_environment(self, project: Path) -> None:
        settings = load(start=project, environment={"DIFYOPS_STORE": "/srv/env"}, store=Path("/srv/flag"))
        assert (settings.store, settings.origins["store"]) == (Path("/srv/flag"), "flag --store")

    def test_a_relative_store_is_seen_from_the_file_that_names_it(self, project: Path) -> None:
        written(project, "store: kept/here")
        assert loaded(project).store == project / "kept" / "here"
        (project / "difyops.yaml").unlink()
        user_file(project, "store: kept/there")
        assert loaded(project).store == project / "nobody" / "difyops" / "kept" / "there"


class TestEnvironment:
    """An instance without any file, under the names that Dify's people know."""

    @pytest.mark.parametrize(
        ("ours", "theirs", "field"),
        [
            ("DIFYOPS_URL", "DIFY_BASE_URL", "url"),
            ("DIFYOPS_EMAIL", "DIFY_EMAIL", "email"),
            ("DIFYOPS_WORKSPACE_ID", "DIFY_WORKSPACE_ID", "workspace_id"),
        ],
    )
    def test_aliases_work_and_our_own_name_wins(self, project: Path, ours: str, theirs: str, field: str) -> None:
        base = {"DIFY_BASE_URL": "http://theirs.example"}
        values = {theirs: "http://theirs.example", ours: "http://ours.example"}
        assert getattr(loaded(project, **{**base, theirs: values[theirs]}).context(), field) == values[theirs]
        assert getattr(loaded(project, **{**base, **values}).context(), field) == values[ours]

    def test_secrets_stay_references(self, project: Path) -> None:
        settings = loaded(
            project, DIFY_BASE_URL="http://x.example", DIFY_PASSWORD="canary-pass", DIFY_ADMIN_API_KEY="canary-key"
        )
        context = settings.context()
        assert (context.password, context.admin_key) == ("env:DIFY_PASSWORD", "env:DIFY_ADMIN_API_KEY")
        assert "canary" not in repr(settings)

    def test_an_empty_variable_is_none(self, project: Path) -> None:
        assert loaded(project, DIFY_BASE_URL="").contexts == {}

    def test_a_bad_url_names_the_variable(self, project: Path) -> None:
        with pytest.raises(ConfigError, match="DIFY_BASE_URL"):
            loaded(project, DIFY_BASE_URL="dify.example.com")

    def test_the_state_folder_follows_the_environment(self) -> None:
        assert config.state_folder({"DIFYOPS_STATE": "/srv/s", "XDG_STATE_HOME": "/x"}) == Path("/srv/s")
        assert config.state_folder({"XDG_STATE_HOME": "/x"}) == Path("/x/difyops")

    @pytest.mark.parametrize("text", ["mysql://ada:canary@db/x", "postgress://ada:canary@db/x", "http://db"])
    def test_an_address_of_something_else_is_no_folder_and_is_not_repeated(self, text: str) -> None:
        with pytest.raises(ConfigError, match="the address of a PostgreSQL") as caught:
            config.state_folder({"DIFYOPS_STATE": text})
        assert "canary" not in f"{caught.value.message}{caught.value.hint}"


HEAD = "contexts:\n  a:\n    url: http://x.example\n"
BOMB = "".join(
    f"{name}: &{name} [{', '.join([f'*{former}'] * 9)}]\n" for former, name in zip("abcdef", "bcdefg", strict=True)
)
BROKEN = [
    ("contexts:\n  a:\n    urll: http://x.example\n", ":3: contexts.a.urll: unknown field 'urll'"),
    ("contexts:\n  a:\n    email: x\n", ":2: contexts.a.url: this field is required"),
    ("contexts:\n  a:\n    url: 7\n", ":3: contexts.a.url: expected the address of an instance, found the number 7"),
    (HEAD + "    timeout: soon\n", ":4: contexts.a.timeout: expected a duration"),
    (HEAD + "    timeout: 0\n", ":4: contexts.a.timeout: expected a duration"),
    (HEAD + "    max_in_flight: true\n", ":4: contexts.a.max_in_flight"),
    (HEAD + "    password: canary-plain\n", ":4: contexts.a.password: expected a reference"),
    (HEAD + "    password: canary:plain\n", ":4: contexts.a.password: expected a reference"),
    ("contexts:\n  a:\n    url: ftp://x.example\n", ":3: contexts.a.url"),
    ("contexts:\n  a: http://x.example\n", ":2: contexts.a: must be a mapping"),
    ("contexts: [1, 2]\n", ":1: contexts: must be a mapping"),
    ("\n\ncontext: prod\n", ":3: context: unknown field 'context'"),
    ("default_context: 7\n", ":1: default_context: expected text, found the number 7"),
    ("store: [a]\n", ":1: store: expected text, found a list"),
    ("- a\n- b\n", ":1: the file must be a mapping"),
    ("contexts:\n  a: {url: 'http://x.example'}\n  a: {url: 'http://y.example'}\n", "line 3"),
    ("contexts: {a: [}\n", "line 1"),
    ("contexts:\n\ta: b\n", "line 2"),
    ("a: &a [x, x]\n" + BOMB, "line"),
    ("x: " + "[" * 500 + "]" * 500 + "\n", "line 1"),
    ("a: !!python/object/apply:os.system [x]\n", "line 1"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words"), BROKEN)
def test_a_broken_file_is_told_where_and_what_in_one_sentence(project: Path, text: str, words: str) -> None:
    path = written(project, text)
    with pytest.raises(ConfigError) as caught:
        loaded(project)
    message = caught.value.message
    assert words in message
    assert str(path) in message
    assert "\n" not in message
    assert "canary" not in message
    assert caught.value.exit_code == 2


def test_bytes_that_are_no_text_are_told_so(project: Path) -> None:
    (project / "difyops.yaml").write_bytes(b"contexts:\n  a: \xff\xfe\n")
    with pytest.raises(ConfigError, match=r"line 2.*UTF-8"):
        loaded(project)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_cannot_be_read_is_told_so(project: Path) -> None:
    written(project, ONE).chmod(0)
    with pytest.raises(ConfigError, match="cannot be read"):
        loaded(project)


def test_an_empty_file_is_fine(project: Path) -> None:
    for text in ("", "# nothing yet\n", "contexts:\n"):
        written(project, text)
        assert loaded(project).contexts == {}


class TestCommandsInFiles:
    """``cmd:`` runs commands: only from files that nobody else can write."""

    @pytest.mark.parametrize("mode", [0o666, 0o664, 0o602])
    @pytest.mark.parametrize(
        "text",
        [
            "contexts: {a: {url: 'http://x.example', password: 'cmd:pass show dify'}}",
            "secrets: {vault: {new: ['cmd:pwgen 20']}}",
        ],
    )
    def test_a_file_that_others_can_write_is_refused(self, project: Path, mode: int, text: str) -> None:
        path = written(project, text)
        path.chmod(mode)
        with pytest.raises(ConfigError, match="others can write it") as caught:
            loaded(project)
        assert "chmod" in (caught.value.hint or "")

    def test_a_file_of_ones_own_is_fine(self, project: Path) -> None:
        path = written(project, "contexts: {a: {url: 'http://x.example', password: 'cmd:pass show dify'}}")
        path.chmod(0o644)
        assert loaded(project).context().password == "cmd:pass show dify"

    @pytest.mark.parametrize(("mode", "uid", "fine"), [(0o664, 0, False), (0o664, 1, True), (0o666, 1, False)])
    def test_without_commands_a_group_of_ones_own_may_write_but_not_for_root(
        self, project: Path, monkeypatch: pytest.MonkeyPatch, mode: int, uid: int, fine: bool
    ) -> None:
        path = written(project, ONE)
        path.chmod(mode)
        someone = os.geteuid() or 4242  # a file of root's is never a stranger's
        monkeypatch.setattr(os, "geteuid", lambda: someone * uid)
        if fine:
            assert loaded(project).contexts
            return
        with pytest.raises(ConfigError, match=r"others can write it|belongs to another user"):
            loaded(project)


class TestPathsInFiles:
    """Paths are seen from the file that names them, wherever the command runs."""

    def test_relative_paths(self, project: Path) -> None:
        written(project, "contexts: {a: {url: 'http://x.example', password: 'file:pw', ca_file: ca.pem}}")
        deep = project / "deep"
        deep.mkdir()
        context = loaded(deep).context()
        assert (context.password, context.ca_file) == (f"file:{project}/pw", f"{project}/ca.pem")

    def test_receivers_of_secrets(self, project: Path) -> None:
        rule = "{match: 'env/*', deliver: 'file:out/b'}"
        written(project, f"{ONE}\ndeliver: {{dataset-key: ['file:a', 'keyring:x/y']}}\nsecrets: {{rules: [{rule}]}}")
        deep = project / "deep"
        deep.mkdir()
        sections = loaded(deep).sections
        assert sections["deliver"] == {"dataset-key": [f"file:{project}/a", "keyring:x/y"]}
        assert sections["secrets"]["rules"] == [{"match": "env/*", "deliver": f"file:{project}/out/b"}]

    def test_absolute_paths_and_the_home_folder(self, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", "/home/ops")
        text = "contexts: {a: {url: 'http://x.example', password: 'file:~/pw', ca_file: /etc/ca.pem}}"
        written(project, text)
        context = loaded(project).context()
        assert (context.password, context.ca_file) == ("file:/home/ops/pw", "/etc/ca.pem")


class TestUrls:
    """People paste what is in their browser."""

    @pytest.mark.parametrize(
        ("text", "url"),
        [
            ("https://dify.example.com", "https://dify.example.com"),
            (" https://dify.example.com/ ", "https://dify.example.com"),
            ("https://dify.example.com/console/api", "https://dify.example.com"),
            ("https://dify.example.com/console/api/", "https://dify.example.com"),
            ("https://dify.example.com/v1", "https://dify.example.com"),
            ("https://dify.example.com/apps", "https://dify.example.com"),
            ("https://dify.example.com/signin/", "https://dify.example.com"),
            ("HTTPS://dify.example.com", "https://dify.example.com"),
            ("http://10.0.0.7:8080/dify/v1", "http://10.0.0.7:8080/dify"),
            ("http://[::1]:5001/", "http://[::1]:5001"),
            ("https://bücher.example", "https://bücher.example"),
        ],
    )
    def test_the_base_is_found(self, text: str, url: str) -> None:
        assert clean_url(text, where="--url") == url

    @pytest.mark.parametrize(
        "text",
        [
            "", "dify.example.com", "ftp://dify.example.com", "https://", "https:///v1", "http://[::1", "http://h:99999",
            "http://h:port", "https://dify example.com", "https://dify.example.com?x=1", "https://dify.example.com/#/apps",

            "javascript:alert(1)", "https://dify\x1b[31m.example.com", "file:///etc/passwd",
        ],
    )  # fmt: skip
    def test_what_is_no_base_is_refused(self, text: str) -> None:
        with pytest.raises(ConfigError, match="--url"):
            clean_url(text, where="--url")

    @pytest.mark.parametrize(
        "text",
        [
            "https://ops:canary-pass@dify.example.com",
            "ftp://ops:canary-pass@dify.example.com",
            "https://canary@h:99999",
        ],
    )
    def test_credentials_in_a_url_are_refused_and_not_shown(self, text: str) -> None:
        with pytest.raises(ConfigError, match="must not carry credentials") as caught:
            clean_url(text, where="--url")
        assert "canary" not in f"{caught.value} {caught.value.hint}"

    @given(st.text(max_size=30))
    def test_any_text_is_a_url_or_an_error_of_ours(self, text: str) -> None:
        for candidate in (text, f"http://{text}", f"https://h{text}/v1"):
            try:
                url = clean_url(candidate, where="--url")
            except ConfigError:
                continue
            assert clean_url(url, where="--url") == url


class TestSaving:
    """Files written by ``context add``, ``use`` and ``remove``."""

    def test_a_saved_context_reads_back_and_other_content_stays(self, project: Path) -> None:
        path = written(project, "store: kept\nsecrets: {a: {b: c}}\ncontexts:\n")
        new = Context(name="new", url="https://n.example", email="o@n.example", password="env:P", timeout=5.0)
        save_context(path, new, make_default=False)
        settings = loaded(project)
        assert settings.context().email == "o@n.example"
        assert settings.sections["secrets"] == {"a": {"b": "c"}}
        assert settings.store == project / "kept"
        assert path.stat().st_mode & 0o777 == 0o600

    def test_a_link_to_the_file_stays_a_link(self, project: Path, tmp_path: Path) -> None:
        real = tmp_path / "dotfiles.yaml"
        real.write_text(ONE)
        (project / "difyops.yaml").symlink_to(real)
        config.choose_context(project / "difyops.yaml", "test")
        assert (project / "difyops.yaml").is_symlink()
        assert "default_context: test" in real.read_text()

    def test_removing_the_default_leaves_none_chosen(self, project: Path) -> None:
        path = written(project, ONE)
        config.remove_context(path, "prod")
        assert loaded(project).context().name == "test"

    def test_looking_first_changes_nothing(self, project: Path) -> None:
        path = written(project, ONE)
        config.remove_context(path, "prod", dry_run=True)
        assert path.read_text() == ONE
        with pytest.raises(ConfigError, match="defines no context"):
            config.remove_context(path, "nope", dry_run=True)

    @given(
        st.text(min_size=1, max_size=30).filter(lambda text: "\x00" not in text and text.isprintable()),
        st.floats(0.1, 500).map(lambda seconds: round(seconds, 3)),
    )
    def test_any_value_reads_back(self, tmp_path_factory: pytest.TempPathFactory, email: str, timeout: float) -> None:
        folder = tmp_path_factory.mktemp("c")
        save_context(
            folder / "difyops.yaml",
            Context(name="no", url="http://x.example", email=email, timeout=timeout),
            make_default=True,
        )
        context = loaded(folder).context("no")
        assert (context.email, context.timeout) == (email, timeout)


def test_a_working_directory_that_is_gone_is_one_sentence(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    project.rmdir()
    with pytest.raises(ConfigError, match="working directory"):
        load(environment={})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.chown(written(project, ONE), 12345, 12345)
    with pytest.raises(ConfigError, match="belongs to another user"):  # root, too, does not take a stranger's word
        loaded(project)
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    with pytest.raises(ConfigError, match="belongs to another user"):
        loaded(project)


def test_all_that_is_wrong_is_told_at_once(project: Path) -> None:
    written(
        project, "contexts:\n  a:\n    urll: http://x.example\n  b: {url: 'http://y.example', timeout: soon}\nstor: x\n"
    )
    with pytest.raises(ConfigError) as caught:
        loaded(project)
    message = caught.value.message
    assert "did you mean 'url'?" in message
    assert "did you mean 'store'?" in message
    assert [f":{line}: " in message for line in (2, 3, 4, 5)] == [True] * 4
    problems = caught.value.details["problems"]
    assert isinstance(problems, list)
    assert [item["field"] for item in problems] == ["contexts.a.url", "contexts.a.urll", "contexts.b.timeout", "stor"]
