"""Where documents name a plugin, and the same with another version."""

from __future__ import annotations

from difyops.dsl.plugin_names import references, rewritten, stale

OLD, NEW = "acme/search:0.1.0@" + "a" * 64, "acme/search:0.2.0@" + "b" * 64
OTHER = "acme/search-pro:0.1.0@" + "c" * 64


def graph(**data: object) -> dict[str, object]:
    return {"graph": {"nodes": [{"id": "n", "type": "custom", "data": {"title": "N", **data}}], "edges": []}}


def test_identifiers_and_providers_are_found_wherever_they_stand() -> None:
    document = graph(
        type="agent", plugin_unique_identifier=OLD, agent_parameters={"tools": {"value": [{"uid": OLD}, OTHER]}},
        provider_id="acme/search/google", model={"provider": "search", "name": "m", "mode": "chat"}, note=f"see {OLD}",
    )  # fmt: skip
    found = references(document, "acme/search")
    assert sorted((item.place, item.identifier[:17] or item.name) for item in found) == [
        ("agent_parameters.tools.value.0.uid", OLD[:17]),
        ("model.provider", "m"),
        ("plugin_unique_identifier", OLD[:17]),
        ("provider_id", "acme/search/google"),
    ]
    assert {item.title for item in found} == {"N"}


def test_only_the_identifiers_of_that_plugin_change_and_nothing_is_changed_in_place() -> None:
    document = graph(type="tool", a=OLD, b=[OTHER, {"c": OLD}], provider_id="acme/search/google", d=f"{OLD} and more")
    before = repr(document)
    changed = rewritten(document, "acme/search", NEW)
    data = changed["graph"]["nodes"][0]["data"]
    assert (data["a"], data["b"], data["d"]) == (NEW, [OTHER, {"c": NEW}], f"{OLD} and more")
    assert repr(document) == before
    assert (stale(document, "acme/search", NEW), stale(changed, "acme/search", NEW)) == (2, 0)
    assert rewritten(changed, "acme/search", OLD) == document


def test_model_configs_are_read_too() -> None:
    config = {"model_config": {"agent_mode": {"tools": [{"provider_id": "acme/search/x", "plugin": OLD}]}}}
    assert [item.place for item in references(config, "acme/search")] == [
        "model_config.agent_mode.tools.0.provider_id",
        "model_config.agent_mode.tools.0.plugin",
    ]
