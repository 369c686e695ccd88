"""The context that environment variables describe on their own, by our names and by those of Dify's people."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from difyops.config_file import FORMER_ENVIRONMENT_CONTEXT, SECRET_FIELDS, Context, clean_url

_LONGEST_NAME = 64
_ALIASES = {
    "url": ("DIFYOPS_URL", "DIFYOPS_BASE_URL", "DIFY_BASE_URL", "DIFY_API_URL"),
    "email": ("DIFYOPS_EMAIL", "DIFY_EMAIL"),
    "password": ("DIFYOPS_PASSWORD", "DIFY_PASSWORD"),
    "api_url": ("DIFYOPS_API_URL",),
    "workspace_id": ("DIFYOPS_WORKSPACE_ID", "DIFY_WORKSPACE_ID"),
    "admin_key": ("DIFYOPS_ADMIN_KEY", "DIFY_ADMIN_API_KEY", "DIFY_ADMIN_KEY"),
    "ca_file": ("DIFYOPS_CA_FILE", "SSL_CERT_FILE"),
}


def environment_context(env: Mapping[str, str]) -> Context | None:
    """Return the context that the environment describes on its own, when it names a URL."""
    found = {key: name for key, names in _ALIASES.items() for name in names[::-1] if env.get(name)}
    if "url" not in found:
        return None
    values: dict[str, Any] = {key: f"env:{name}" if key in SECRET_FIELDS else env[name] for key, name in found.items()}
    values["url"] = clean_url(values["url"], where=f"environment variable {found['url']}")
    if "api_url" in found:
        values["api_url"] = clean_url(values["api_url"], where=f"environment variable {found['api_url']}")
    name = _environment_name(values["url"])
    return Context(name=name, source="environment", given=frozenset(values), **values)


def _environment_name(url: str) -> str:
    """Return the name of the instance at ``url``: its host, with a port or a path that tell it from others there."""
    parts = urlsplit(url)
    words = [(parts.hostname or "").replace(":", "-"), str(parts.port or ""), *parts.path.split("/")]
    text = re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(word for word in words if word))
    return re.sub(r"\.{2,}", ".", text).strip(".-_")[:_LONGEST_NAME].rstrip(".-_") or FORMER_ENVIRONMENT_CONTEXT
