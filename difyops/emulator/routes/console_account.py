"""Set-up, login in its three generations, refresh, logout, profile, workspaces, members, versions and features."""

from __future__ import annotations

import os
from urllib.parse import quote

from starlette.responses import Response

from difyops.emulator import auth, canned, shapes
from difyops.emulator.auth import Sessions, Tokens
from difyops.emulator.routing import Call, Route
from difyops.emulator.shapes import JsonDict
from difyops.emulator.store import Account
from difyops.emulator.versions import Release

API = "/console/api"
_WRONG = "Invalid email or password."
_LOCKED = "Too many incorrect password attempts. Please try again later."
_REDIS = "Error 111 connecting to 127.0.0.1:16379. Connection refused."
_NEW_COOKIES = ("access_token", "refresh_token", "csrf_token")
_RENEWED_COOKIES = ("csrf_token", "access_token", "refresh_token")


def health(call: Call) -> Response:
    """Say ok, whatever is broken behind."""
    return shapes.answer({"pid": os.getpid(), "status": "ok", "version": call.instance.settings.reported})


def setup_status(call: Call) -> Response:
    """Tell whether the instance is set up."""
    done = call.instance.set_up_at
    return shapes.answer({"step": "finished" if done else "not_started", "setup_at": done})


def setup(call: Call) -> Response:
    """Set the instance up, once, with a password in plain text."""
    if call.instance.set_up_at:
        raise shapes.fastopenapi("authorization_error", "Forbidden", 403)
    payload = call.json_or_empty()
    password = str(payload.get("password", ""))
    strong = len(password) >= 8 and any(map(str.isdigit, password)) and any(map(str.isalpha, password))
    if not strong or not payload.get("email") or not payload.get("name"):
        text = "Validation error for parameter 'payload'"
        raise shapes.fastopenapi("validation_error", text, 422, text)
    call.instance.set_up(payload["email"], payload["name"], password)
    return shapes.success(201)


def init_status(call: Call) -> Response:
    """Say that no set-up password is needed any more."""
    return shapes.answer({"status": "finished"})


async def login(call: Call) -> Response:
    """Check mail address and password; the seventh wrong one locks the address for a day."""
    instance = call.instance
    payload = call.json()
    email = call.require(payload, "email", "LoginPayload")
    sent = str(call.require(payload, "password", "LoginPayload"))
    password = auth.decoded_password(sent) if instance.release.base64_password else sent
    if password is None:
        raise shapes.problem("authentication_failed", "Invalid encrypted data", 401)
    await instance.search_redis()
    if instance.control.has("redis_down"):
        raise shapes.internal_error()
    account = instance.account_by_email(str(email))
    _check_lock(call, account)
    if account is None and instance.release.body_tokens:
        raise shapes.problem("account_not_found", "Account not found.", 400)
    if account is None or account.password != password:
        if account is not None:
            account.failures += 1
        raise shapes.problem("authentication_failed", _WRONG, 401)
    account.failures, account.last_login_at = 0, instance.now()
    return _tokens(call, _sessions(call).issue(account), _NEW_COOKIES)


def _check_lock(call: Call, account: Account | None) -> None:
    if account is None or account.failures < auth.LOCK_AFTER:
        return
    instance = call.instance
    if not account.locked_until:
        account.locked_until = instance.moment() + instance.scaled(auth.LOCK_SECONDS)
    if account.locked_until > instance.moment():
        raise shapes.problem("email_code_login_limit", _LOCKED, 429)
    account.failures, account.locked_until = 0, 0.0


def _sessions(call: Call) -> Sessions:
    sessions: Sessions = call.request.scope["emulator.sessions"]
    return sessions


def _tokens(call: Call, tokens: Tokens, order: tuple[str, ...]) -> Response:
    if call.instance.release.body_tokens:
        data = {"access_token": tokens.access, "refresh_token": tokens.refresh}
        return shapes.answer({"result": "success", "data": data})
    response = shapes.success()
    for cookie in auth.cookie_headers(call.instance, tokens, order):
        response.headers.append("set-cookie", cookie)
    return response


async def refresh(call: Call) -> Response:
    """Trade the refresh token (cookie, or body on 1.9.1) for new tokens."""
    instance = call.instance
    if instance.release.body_tokens:
        token = str(call.json_or_empty().get("refresh_token") or "")
    else:
        token = call.request.cookies.get(auth.cookie_name(instance, "refresh_token"), "")
    if not token:
        raise shapes.refresh_failed("No refresh token provided")
    await instance.search_redis(0.3)
    if instance.control.has("redis_down"):
        raise shapes.refresh_failed(_REDIS)
    return _tokens(call, _sessions(call).renew(token), _RENEWED_COOKIES)


def logout(call: Call) -> Response:
    """Drop the account's last refresh token; the access token lives on."""
    _sessions(call).drop(call.actor)
    response = shapes.success()
    if not call.instance.release.body_tokens:
        for cookie in auth.cleared_cookies(call.instance):
            response.headers.append("set-cookie", cookie)
    return response


def profile(call: Call) -> Response:
    """Return the account, with the time zone its statistics are in."""
    account = call.actor
    return shapes.answer(
        {
            "avatar": None, "id": account.id, "name": account.name, "email": account.email, "is_password_set": True,
            "interface_language": "en-US", "interface_theme": "light", "timezone": "America/New_York",
            "last_login_at": account.last_login_at, "last_login_ip": "127.0.0.1", "created_at": account.created_at,
            "avatar_url": None,
        }
    )  # fmt: skip


def _workspace(call: Call) -> JsonDict:
    instance = call.instance
    return {
        "id": instance.workspace_id, "name": f"{instance.owner.name}'s Workspace", "plan": "basic",
        "status": "normal", "created_at": instance.created_at, "role": call.actor.role, "in_trial": None,
        "trial_end_reason": None, "custom_config": None, "trial_credits": None, "trial_credits_used": None,
        "next_credit_reset_date": None,
    }  # fmt: skip


def workspaces(call: Call) -> Response:
    """List the workspaces of the account: one."""
    space = _workspace(call)
    row = {name: space[name] for name in ("id", "name", "status", "created_at")}
    return shapes.answer({"workspaces": [{**row, "plan": "sandbox", "current": True}]})


def all_workspaces(call: Call) -> Response:
    """List every workspace of the instance."""
    space = _workspace(call)
    row = {name: space[name] for name in ("id", "name", "status", "created_at")}
    return shapes.answer({"data": [row], "has_more": False, "limit": 20, "page": 1, "total": 1})


def current_workspace(call: Call) -> Response:
    """Return the workspace the session acts in."""
    return shapes.answer(_workspace(call))


def switch_workspace(call: Call) -> Response:
    """Switch to the only workspace there is."""
    if call.json().get("tenant_id") != call.instance.workspace_id:
        raise shapes.problem("forbidden", "Account not link tenant.", 403)
    return shapes.answer({"result": "success", "new_tenant": _workspace(call)})


def members(call: Call) -> Response:
    """List the accounts of the workspace."""
    rows = [
        {
            "avatar": None, "id": item.id, "name": item.name, "email": item.email,
            "last_login_at": item.last_login_at, "last_active_at": item.last_login_at or item.created_at,
            "created_at": item.created_at, "role": item.role, "status": "active", "avatar_url": None,
        }
        for item in call.instance.accounts
    ]  # fmt: skip
    return shapes.answer({"accounts": rows})


def invite(call: Call) -> Response:
    """Invite by mail address; the answer holds an activation address."""
    instance, payload = call.instance, call.json()
    results = []
    for email in payload.get("emails") or []:
        link = f"{instance.base_url}/activate?email={quote(email)}&token={instance.new_id()}"
        results.append({"status": "success", "email": email, "url": link})
    body = {"result": "success", "invitation_results": results, "tenant_id": instance.workspace_id}
    return shapes.answer(body, 201)


def update_role(call: Call) -> Response:
    """Change a member's role."""
    account = next((item for item in call.instance.accounts if item.id == call.params["member_id"]), None)
    if account is None:
        raise shapes.problem("member_not_found", "Member not found.", 404)
    account.role = str(call.json().get("role", account.role))
    return shapes.success()


def version(call: Call) -> Response:
    """Return the version as the update check sees it; wants ``current_version``."""
    if not call.query("current_version"):
        text = "Validation error for parameter 'query'"
        raise shapes.fastopenapi("validation_error", text, 422, text)
    features = {"can_replace_logo": False, "model_load_balancing_enabled": False}
    return shapes.answer(
        {
            "version": call.instance.settings.reported,
            "release_date": "",
            "release_notes": "",
            "can_auto_update": False,
            "features": features,
        }
    )


def features(call: Call) -> Response:
    """Return the switches of the workspace."""
    body = canned.features()
    if not call.instance.release.vector_space_feature:
        body.pop("vector_space")
    return shapes.answer(body)


def system_features(call: Call) -> Response:
    """Return the switches of the instance."""
    body = canned.system_features()
    if call.instance.release.collaboration_features:
        body.pop("trial_models")
        body |= {"enable_collaboration_mode": True, "enable_creators_platform": True}
    return shapes.answer(body)


def dsl_version(call: Call) -> Response:
    """Return the DSL version; the probe that tells the newest release from older ones."""
    return shapes.answer({"app_dsl_version": call.instance.release.dsl})


def _posts_workspace(release: Release) -> bool:
    return not release.workspace_by_get and not release.workspace_summary


ROUTES = (
    Route("GET", "/health", health, "public"),
    Route("GET", f"{API}/setup", setup_status, "unset", html_405=True),
    Route("POST", f"{API}/setup", setup, "unset", html_405=True),
    Route("GET", f"{API}/init", init_status, "unset"),
    Route("POST", f"{API}/login", login, "public"),
    Route("POST", f"{API}/refresh-token", refresh, "public"),
    Route("GET", f"{API}/logout", logout, when=lambda release: release.body_tokens),
    Route("POST", f"{API}/logout", logout, when=lambda release: not release.body_tokens),
    Route("GET", f"{API}/version", version, "public", html_405=True),
    Route("GET", f"{API}/app-dsl-version", dsl_version, "public", when=lambda release: release.dsl_version_route),
    Route("GET", f"{API}/features", features),
    Route("GET", f"{API}/system-features", system_features, "public"),
    Route("GET", f"{API}/account/profile", profile),
    Route("GET", f"{API}/workspaces", workspaces),
    Route("GET", f"{API}/all-workspaces", all_workspaces, role="admin"),
    Route("GET", f"{API}/workspaces/current", current_workspace, when=lambda release: release.workspace_by_get),
    Route(
        "GET", f"{API}/workspaces/current/summary", current_workspace, when=lambda release: release.workspace_summary
    ),
    Route("POST", f"{API}/workspaces/current", current_workspace, when=_posts_workspace),
    Route("POST", f"{API}/info", current_workspace, when=lambda release: not release.workspace_summary),
    Route("POST", f"{API}/workspaces/switch", switch_workspace),
    Route("GET", f"{API}/workspaces/current/members", members),
    Route("POST", f"{API}/workspaces/current/members/invite-email", invite, role="admin"),
    Route("PUT", f"{API}/workspaces/current/members/{{member_id:uuid}}/update-role", update_role, role="admin"),
)
