"""What the Dockerfile makes, without an engine: its entry in a bare root that nobody can write, as its user.

The root holds this machine's /usr in the place of the base image, the wheel and its packages where the Dockerfile puts
them, and the two volumes. It needs what only root, or a machine that lets everybody make namespaces, may do.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hatchling.builders.wheel import WheelBuilder

from difyops import __version__
from difyops.emulator import Emulator
from tests.deploy.steps import ROOT, answer_to_an_event, document
from tests.waiting import wait_until

TEXT = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
LAST = TEXT.rpartition("\nFROM ")[2]
ENVIRONMENT = dict(re.findall(r"(\w+)=(\S+)", re.findall(r"^ENV (.*)", LAST, re.MULTILINE)[0]))
USER, GROUP = re.findall(r"^USER (\d+):(\d+)", LAST, re.MULTILINE)[0]
FOLDER = re.findall(r"^WORKDIR (.*)", LAST, re.MULTILINE)[0]
VOLUMES = json.loads(re.findall(r"^VOLUME (.*)", LAST, re.MULTILINE)[0])
ENTRY = json.loads(re.findall(r"^ENTRYPOINT (.*)", LAST, re.MULTILINE)[0])
PLACE = "/opt/difyops"

MOUNTS = """
set -e
root=$1; shift
mount --make-rprivate /
mount --bind "$root" "$root"
for folder in usr bin sbin lib lib64 $BASE; do
  [ ! -e "/$folder" ] || { mkdir -p "$root/$folder"; mount --bind -o ro "/$folder" "$root/$folder"; }
done
mount --bind -o ro "$PACKAGES" "$root/packages"
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
for volume in $VOLUMES; do mount --bind "$root.volumes$volume" "$root$volume"; done
mount -o remount,bind,ro "$root"
exec chroot "$root" setpriv --reuid "$USER_ID" --regid "$GROUP_ID" --clear-groups --no-new-privs --inh-caps=-all \
  --bounding-set=-all env --chdir "$FOLDER" -i "$@"
"""


def allowed() -> bool:
    if os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "setpriv", "chroot"))):
        return False
    return subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the file system of the image, and the two volumes beside it."""
    folder = tmp_path_factory.mktemp("image") / "root"
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(folder.parent), versions=["standard"])
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = folder / PLACE[1:] / "lib" / version / "site-packages"
    for place in (site, *(folder / name for name in ("proc", "dev", "tmp", "packages", "etc/ssl"))):
        place.mkdir(parents=True)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    (site / "packages.pth").write_text("/packages\n")
    (folder / PLACE[1:] / "bin").mkdir()
    base = Path(sys.base_prefix) / "bin" / version
    (folder / PLACE[1:] / "bin" / "python").symlink_to(base)
    (folder / PLACE[1:] / "pyvenv.cfg").write_text(f"home = {base.parent}\ninclude-system-site-packages = false\n")
    entry = folder / PLACE[1:] / "bin" / "difyops"
    entry.write_text(f"#!{PLACE}/bin/python\nimport sys\nfrom difyops.cli import main\nsys.exit(main())\n")
    entry.chmod(0o755)
    (folder / "etc" / "passwd").write_text(f"difyops:x:{USER}:{GROUP}::{ENVIRONMENT['HOME']}:/usr/sbin/nologin\n")
    for volume in VOLUMES:
        (folder / volume[1:]).mkdir(parents=True)
        there = Path(f"{folder}.volumes{volume}")
        there.mkdir(parents=True)
        there.chmod(0o700)
        os.chown(there, int(USER), int(GROUP))
    return folder


def asked_for(root: Path, *words: str, **environment: str) -> dict[str, Any]:
    """Return how to start the entry of the image with a read-only root, or what else is asked for."""
    base = str(Path(sys.base_prefix))[1:]
    given = {
        "PATH": os.environ["PATH"], "VOLUMES": " ".join(VOLUMES), "PACKAGES": sysconfig.get_paths()["purelib"],
        "USER_ID": USER, "GROUP_ID": GROUP, "FOLDER": FOLDER, "BASE": "" if base.startswith("usr") else base,
    }  # fmt: skip
    inside = [f"{name}={value}" for name, value in {**ENVIRONMENT, **environment}.items()]
    return {"args": ["unshare", "--mount", "sh", "-c", MOUNTS, "sh", str(root), *inside, *words], "env": given}


def run(root: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(**asked_for(root, *words, **environment), capture_output=True, text=True, check=False)


@pytest.mark.skipif(not allowed(), reason="namespaces are not allowed here, or unshare and setpriv are missing")
def test_it_keeps_snapshots_with_a_root_that_cannot_be_written(root: Path, emulator: Emulator, url: str) -> None:
    assert run(root, *ENTRY, "--version").stdout == f"difyops {__version__}\n"
    closed = run(root, "sh", "-c", f"id -u; touch {PLACE}/x /x /etc/x; touch /tmp/x /srv/difyops/x && echo open")
    assert closed.stdout == f"{USER}\nopen\n"
    assert closed.stderr.count("Read-only file system") == 3
    to = {"DIFY_BASE_URL": url, "DIFY_EMAIL": emulator.email, "DIFY_PASSWORD": emulator.password}
    done = run(root, *ENTRY, "snapshot", "create", "wf-echo", "wf-llm", "-o", "json", **to)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ok"]
    assert {path.name for path in Path(f"{root}.volumes/srv/difyops").iterdir()} == {"store", "x"}
    assert (Path(f"{root}.volumes/var/lib/difyops") / "state").stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(not allowed(), reason="namespaces are not allowed here, or unshare and setpriv are missing")
def test_the_service_of_compose_takes_an_event_and_drains(root: Path, emulator: Emulator, url: str) -> None:
    section = {
        "listen": "127.0.0.1:0", "admin": False,
        "sources": {"orders": {"secrets": ["env:ORDERS"], "to": ["log"]}},
        "destinations": {"log": {"command": ["cat"]}},
    }  # fmt: skip
    (root / "etc" / "difyops").mkdir(exist_ok=True)
    (root / "etc" / "difyops" / "config.yaml").write_text(json.dumps({"webhook": section}))
    command = document("deploy/compose.yaml")["services"]["webhook"]["command"]
    to = {"DIFY_BASE_URL": url, "DIFY_EMAIL": emulator.email, "DIFY_PASSWORD": emulator.password, "ORDERS": "canary-1"}
    state = Path(f"{root}.volumes/var/lib/difyops/state")
    with (root.parent / "log").open("wb") as log:
        server = subprocess.Popen(**asked_for(root, *ENTRY, *command, **to), stdout=log, stderr=log)
    try:
        wait_until(lambda: (state / "webhook.json").exists() or server.poll() is not None, "the start")
        assert server.poll() is None, (root.parent / "log").read_text()
        assert answer_to_an_event(state, "canary-1") == 200
    finally:
        server.terminate()
        ended = server.wait(90)
    assert ended == 0, (root.parent / "log").read_text()
    assert "canary-1" not in (root.parent / "log").read_text()


def test_the_image_is_made_of_what_the_locks_say_and_nothing_of_the_checkout_besides() -> None:
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert {"difyops", "runbooks", "pyproject.toml", "README.md", "LICENSE"} <= set(kept)
    assert "tests" not in kept
    copied = re.findall(r"^COPY (?!--from)(\S+) ", TEXT, re.MULTILINE)
    assert all(name == "." or name in kept for name in copied)
    assert "--require-hashes" in TEXT
    assert LAST.index("USER") < LAST.index("ENTRYPOINT")
