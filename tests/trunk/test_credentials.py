"""References to secrets: every kind, every way to fail, and never the secret in the words."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from difyops import credentials
from difyops.credentials import forget, resolve, resolve_async, store
from difyops.errors import CredentialError
from difyops.secret_text import SecretText

CANARY = "canary-s3cret-0815"
PYTHON = sys.executable

MEMORY_KEYRING = """
import keyring.backend, keyring.errors
class Memory(keyring.backend.KeyringBackend):
    priority = 9
    kept = {}
    def get_password(self, service, name):
        return self.kept.get((service, name))
    def set_password(self, service, name, secret):
        self.kept[service, name] = secret
    def delete_password(self, service, name):
        del self.kept[service, name]
class Locked(Memory):
    def get_password(self, service, name):
        raise keyring.errors.KeyringLocked("canary-s3cret-0815 is behind a lock")
class Hanging(Memory):
    def get_password(self, service, name):
        import time; time.sleep(30)
class Broken(Memory):
    def get_password(self, service, name):
        raise RuntimeError("org.freedesktop.DBus.Error.Spawn")
"""


@pytest.fixture
def keyring_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    import keyring

    (tmp_path / "made_up_keyrings.py").write_text(MEMORY_KEYRING)
    monkeypatch.syspath_prepend(str(tmp_path))
    former = keyring.get_keyring()

    def choose(name: str) -> None:
        import made_up_keyrings  # type: ignore[import-not-found]  # written above

        made_up_keyrings.Memory.kept.clear()
        keyring.set_keyring(getattr(made_up_keyrings, name)())

    yield choose
    keyring.set_keyring(former)
    sys.modules.pop("made_up_keyrings", None)


def secret_file(folder: Path, content: bytes = CANARY.encode() + b"\n", mode: int = 0o600) -> Path:
    path = folder / "secret"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def refused(reference: str) -> CredentialError:
    with pytest.raises(CredentialError) as caught:
        resolve(reference)
    shown = f"{caught.value} {caught.value.hint}"
    assert CANARY not in shown
    assert "\n" not in caught.value.message
    assert caught.value.exit_code == 2
    return caught.value


class TestEnvironment:
    """``env:NAME``."""

    def test_it_is_read(self) -> None:
        assert resolve("env:P", environment={"P": CANARY}).reveal() == CANARY

    def test_spaces_around_a_secret_belong_to_it_and_line_ends_do_not(self) -> None:
        assert resolve("env:P", environment={"P": f" {CANARY} \r\n"}).reveal() == f" {CANARY} "

    def test_missing_and_empty_are_told_apart(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert "is not set" in refused("env:MISSING").message
        monkeypatch.setenv("EMPTY", "\n")
        assert "is empty" in refused("env:EMPTY").message

    def test_several_lines_are_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MANY", f"{CANARY}\n{CANARY}")
        assert "line breaks" in refused("env:MANY").message


class TestFile:
    """``file:PATH``."""

    def test_it_is_read_without_its_last_line_end(self, tmp_path: Path) -> None:
        assert resolve(f"file:{secret_file(tmp_path)}").reveal() == CANARY

    def test_the_home_folder_is_known(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        secret_file(tmp_path)
        monkeypatch.setenv("HOME", str(tmp_path))
        assert resolve("file:~/secret").reveal() == CANARY

    @pytest.mark.parametrize("mode", [0o644, 0o660, 0o604])
    def test_one_that_others_can_read_is_refused(self, tmp_path: Path, mode: int) -> None:
        assert "chmod 600" in (refused(f"file:{secret_file(tmp_path, mode=mode)}").hint or "")

    @pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe\x00", b"x" * 70_000, CANARY.encode() + b"\x1b[0m"])
    def test_content_that_is_no_secret_is_refused(self, tmp_path: Path, content: bytes) -> None:
        refused(f"file:{secret_file(tmp_path, content)}")

    def test_missing_directory_and_impossible_ones_are_refused(self, tmp_path: Path) -> None:
        for path in ("missing", "", "missing/below", "~nobody-at-all/x"):
            refused(f"file:{tmp_path}/{path}")
        refused("file:~nobody-at-all/x")


class TestCommand:
    """``cmd:COMMAND``."""

    def test_its_output_is_the_secret(self) -> None:
        assert resolve(f"cmd:printf '%s\\n' {CANARY}").reveal() == CANARY

    def test_no_shell_runs(self, tmp_path: Path) -> None:
        resolve(f"cmd:echo x; touch {tmp_path}/made $(touch {tmp_path}/made)")
        assert not (tmp_path / "made").exists()

    def test_a_failure_names_the_command_and_its_last_word_only(self) -> None:
        error = refused(f"cmd:sh -c 'echo {CANARY}; echo first >&2; echo the vault is sealed >&2; exit 3'")
        assert error.message == "The command 'sh' ended with 3: the vault is sealed"

    @pytest.mark.parametrize("command", ["true", "printf ''", "echo"])
    def test_silence_is_empty(self, command: str) -> None:
        assert "is empty" in refused(f"cmd:{command} {CANARY}" if command == "true" else f"cmd:{command}").message

    def test_what_cannot_be_run_is_refused(self, tmp_path: Path) -> None:
        script = secret_file(tmp_path, b"no interpreter", mode=0o700)
        for command in ("no-such-program --token", str(tmp_path), str(script), "'unbalanced", " ", "printf '\\377'"):
            refused(f"cmd:{command}")

    def test_one_that_hangs_is_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(credentials, "COMMAND_SECONDS", 0.3)
        assert "did not end" in refused(f"cmd:sh -c 'echo {CANARY}; sleep 600'").message


class TestKeyring:
    """``keyring:SERVICE/NAME``, and hosts that have none."""

    def test_it_is_read_written_and_forgotten(self, keyring_of: Callable[[str], None]) -> None:
        keyring_of("Memory")
        store("keyring:difyops/prod", SecretText(CANARY))
        assert resolve("keyring:difyops/prod").reveal() == CANARY
        forget("keyring:difyops/prod")
        forget("keyring:difyops/prod")
        assert "no entry" in refused("keyring:difyops/prod").message
        assert credentials.keyring_problem() is None

    @pytest.mark.parametrize(
        ("kind", "words"),
        [("Locked", "is locked"), ("Hanging", "did not answer"), ("Broken", "The keyring failed")],
    )
    def test_one_that_cannot_be_used_says_why(
        self, keyring_of: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, kind: str, words: str
    ) -> None:
        monkeypatch.setattr(credentials, "KEYRING_SECONDS", 1.0)
        keyring_of(kind)
        assert words in refused("keyring:difyops/prod").message
        assert words in (credentials.keyring_problem() or "")

    def test_a_host_without_one_is_normal_and_has_a_hint(self) -> None:
        import keyring
        from keyring.backends.fail import Keyring

        former = keyring.get_keyring()
        keyring.set_keyring(Keyring())
        try:
            error = refused("keyring:difyops/prod")
        finally:
            keyring.set_keyring(former)
        assert error.message == "This host has no keyring."
        assert "file:PATH" in (error.hint or "")

    @pytest.mark.parametrize("reference", ["keyring:", "keyring:x", "keyring:/x", "keyring:x/"])
    def test_half_a_reference_is_refused(self, reference: str) -> None:
        refused(reference)


@pytest.mark.parametrize("reference", [CANARY, f"plain:{CANARY}", "", ":", f":{CANARY}", "env:", "file:", "cmd:"])
def test_what_is_no_reference_is_refused_and_not_shown(reference: str) -> None:
    refused(reference)


class TestStoring:
    """Where a new secret may go."""

    def test_a_file_is_private(self, tmp_path: Path) -> None:
        store(f"file:{tmp_path}/new/secret", SecretText(CANARY))
        assert resolve(f"file:{tmp_path}/new/secret").reveal() == CANARY
        forget(f"file:{tmp_path}/new/secret")
        forget(f"file:{tmp_path}/new/secret")

    def test_a_command_gets_it_on_its_input_and_never_as_an_argument(self, tmp_path: Path) -> None:
        code = "import sys; open(sys.argv[1], 'w').write(sys.stdin.read() + repr(sys.argv))"
        store(f'cmd:{PYTHON} -c "{code}" {tmp_path}/got', SecretText(CANARY))
        got = (tmp_path / "got").read_text()
        assert got.startswith(CANARY)
        assert got.count(CANARY) == 1

    def test_the_environment_cannot_be_written(self) -> None:
        with pytest.raises(CredentialError, match="cannot be written"):
            store("env:P", SecretText(CANARY))


def test_the_environment_of_a_command_is_the_operators_own(tmp_path: Path) -> None:
    code = "import os,sys; open(sys.argv[1], 'w').write(chr(10).join(sorted(os.environ))); print('fine-secret')"
    resolve(f'cmd:{PYTHON} -c "{code}" {tmp_path}/got')
    assert set((tmp_path / "got").read_text().split()) - set(os.environ) <= {"LC_CTYPE", "COLUMNS", "LINES"}


async def test_resolving_does_not_hold_up_the_loop() -> None:
    assert (await resolve_async(f"cmd:printf {CANARY}")).reveal() == CANARY


def test_nobody_is_asked_where_there_is_no_terminal() -> None:
    with pytest.raises(CredentialError, match="no terminal"):
        credentials.prompt("Password")
