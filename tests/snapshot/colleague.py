"""A colleague at the web page: reads, edits, publishes and runs apps with plain HTTP calls. Shares nothing with us."""

from __future__ import annotations

import copy
from typing import Any

import httpx

HIDDEN = "[__HIDDEN__]"


class Colleague:
    """Somebody with the same rights, working beside difyops."""

    def __init__(self, url: str, admin_key: str, workspace_id: str) -> None:
        headers = {"Authorization": f"Bearer {admin_key}", "X-WORKSPACE-ID": workspace_id}
        self.http = httpx.Client(base_url=url, headers=headers, timeout=60.0)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.http.request(method, "/console/api" + path, json=body)
        assert answer.status_code < 300, (method, path, answer.status_code, answer.text[:300])
        return answer.json() if answer.content else None

    def app_id(self, name: str) -> str:
        rows = self.call("GET", "/apps?limit=100")["data"]
        return str(next(row["id"] for row in rows if row["name"] == name))

    def draft(self, app_id: str) -> dict[str, Any]:
        return dict(self.call("GET", f"/apps/{app_id}/workflows/draft"))

    def edit(self, app_id: str, change: Any) -> None:
        """Change the draft in place by ``change(document)``; secrets are kept unless it sets them."""
        draft = self.draft(app_id)
        document = copy.deepcopy(draft)
        for variable in document["environment_variables"]:
            if variable["value_type"] == "secret":
                variable["value"] = HIDDEN
        change(document)
        keys = ("graph", "features", "environment_variables", "conversation_variables")
        body = {**{key: document[key] for key in keys}, "hash": draft["hash"]}
        self.call("POST", f"/apps/{app_id}/workflows/draft", body)

    def publish(self, app_id: str, name: str = "") -> None:
        self.call("POST", f"/apps/{app_id}/workflows/publish", {"marked_name": name, "marked_comment": ""})

    def live(self, app_id: str) -> dict[str, Any]:
        return dict(self.call("GET", f"/apps/{app_id}/workflows/publish"))

    def clear(self, app_id: str) -> dict[str, Any]:
        """Return the draft's variables in clear."""
        items = self.call("GET", f"/apps/{app_id}/workflows/draft/environment-variables")["items"]
        return {item["name"]: item["value"] for item in items}

    def config(self, app_id: str) -> dict[str, Any]:
        return dict(self.call("GET", f"/apps/{app_id}")["model_config"])

    def set_config(self, app_id: str, change: Any) -> None:
        config = copy.deepcopy(self.config(app_id))
        change(config)
        self.call("POST", f"/apps/{app_id}/model-config", config)

    def run(self, app_id: str, inputs: dict[str, Any]) -> dict[str, Any]:
        """Run a published workflow with the app's own key and return its outputs."""
        key = self.call("GET", f"/apps/{app_id}/api-keys")["data"][0]["token"]
        body = {"inputs": inputs, "user": "colleague", "response_mode": "blocking"}
        headers = {"Authorization": f"Bearer {key}"}
        answer = self.http.post("/v1/workflows/run", json=body, headers=headers)
        return dict(answer.json()["data"]["outputs"] or {})


def node(document: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return the data of the first node of a type."""
    return next(item["data"] for item in document["graph"]["nodes"] if item["data"]["type"] == kind)


def break_prompt(document: dict[str, Any]) -> None:
    """A bad edit: the prompt is wrong and the last edge is cut."""
    node(document, "llm")["prompt_template"][0]["text"] = "BROKEN"
    document["graph"]["edges"] = document["graph"]["edges"][:-1]


def set_secret(value: str) -> Any:
    """Return an edit that gives every secret variable this value."""

    def change(document: dict[str, Any]) -> None:
        for variable in document["environment_variables"]:
            if variable["value_type"] == "secret":
                variable["value"] = value

    return change
