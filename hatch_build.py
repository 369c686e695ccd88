"""Manual pages and the file of completion: made of the commands while the wheel is built, so never out of date."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ManualPages(BuildHookInterface):  # type: ignore[type-arg]
    """Write one page a noun, and hand them to the wheel as ``share/man/man1``."""

    PLUGIN_NAME = "custom"
    folder = ""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write pages and commands. An editable installation has no pages; its commands hold until one is edited."""
        self.folder = tempfile.mkdtemp(prefix="difyops-man-")
        tree = Path(self.folder) / "completion-tree.json"
        tree.write_text(_tree(self.root, editable=version == "editable"), encoding="utf-8")
        if version == "editable":
            build_data["shared_data"][str(tree)] = f"share/difyops/{tree.name}"
            return
        for name, page in _pages(self.root).items():
            place = Path(self.folder) / name
            place.write_text(page, encoding="utf-8")
            build_data["shared_data"][str(place)] = f"share/man/man1/{name}"
        build_data["force_include"][str(tree)] = "difyops/cli/completion-tree.json"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was written."""
        if self.folder:
            shutil.rmtree(self.folder)


def _pages(root: str) -> dict[str, str]:
    sys.path.insert(0, root)
    try:
        from difyops.cli.manual.man import manual_pages

        return manual_pages()
    finally:
        sys.path.remove(root)


def _tree(root: str, *, editable: bool) -> str:
    sys.path.insert(0, root)
    try:
        from difyops import __version__
        from difyops.cli.completion_tree import tree
        from difyops.cli.quick_completion import stamp
        from difyops.cli.root import commands

        return json.dumps(tree(stamp() if editable else __version__, commands()))
    finally:
        sys.path.remove(root)
