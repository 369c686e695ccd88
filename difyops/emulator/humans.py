"""Workflow nodes that wait for a person: the form, its token, and the run that goes on when it is answered.

A run that comes to such a node is ``paused``; its execution is kept until the form is answered with one of the actions,
which is the edge that it takes then. As observed on 1.13.0 and 1.16.1: the console's token is another one than the one
that the caller is told; on 1.16 a resumed run ends as ``stopped`` although its nodes ran.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from difyops.emulator.instance import Instance
from difyops.emulator.records import NodeRun
from difyops.emulator.shapes import JsonDict, Problem, problem

if TYPE_CHECKING:
    from difyops.emulator.interpreter import Execution

_HOURS = {"hour": 3600, "day": 86400}
_ABORTED = "Aborted: Client response stream closed before app execution completed"


@dataclass(slots=True, kw_only=True)
class HumanForm:
    """One form. ``token`` is the console's, ``caller_token`` the one of the service API."""

    id: str
    token: str
    caller_token: str
    node: JsonDict
    row: NodeRun
    execution: Execution
    since: int
    expires: int
    rendered: str
    submitted: bool = False
    inputs: JsonDict = field(default_factory=dict)

    @property
    def data(self) -> JsonDict:
        """Return the settings of the node."""
        return dict(self.node["data"])

    def required(self) -> JsonDict:
        """Return the ``human_input_required`` event, which is also the reason of a pause."""
        return {
            "form_id": self.id, "node_id": self.node["id"], "node_title": self.row.title,
            "form_content": self.rendered, "inputs": self.data.get("inputs") or [],
            "actions": self.data.get("user_actions") or [], "display_in_ui": True, "form_token": self.caller_token,
            "approval_channels": ["console"], "resolved_default_values": {}, "expiration_time": self.expires,
        }  # fmt: skip

    def shown(self) -> JsonDict:
        """Return the form as the console shows it."""
        return {
            "form_content": self.data.get("form_content", ""), "inputs": self.data.get("inputs") or [],
            "user_actions": self.data.get("user_actions") or [], "rendered_content": self.rendered,
            "expiration_time": self.expires, "default_values": {}, "node_title": self.row.title, "display_in_ui": True,
        }  # fmt: skip


def wait_at(execution: Execution, node: JsonDict, row: NodeRun) -> HumanForm:
    """Make the form of a node that was reached."""
    instance, data = execution.instance, node["data"]
    length = int(data.get("timeout") or 3) * _HOURS.get(str(data.get("timeout_unit")), 86400)
    made = HumanForm(
        id=instance.new_id(), token=_token(instance), caller_token=_token(instance), node=node, row=row,
        execution=execution, since=instance.now(), expires=instance.now() + length,
        rendered=execution.pool.filled(str(data.get("form_content", "")).replace("{{#$output.", "{{$output.")).replace(
            "{{$output.", "{{#$output."
        ),
    )  # fmt: skip
    row.status = "paused"
    instance.forms[made.token] = made
    return made


def form_with(instance: Instance, token: str) -> HumanForm:
    """Return the form that nobody answered yet.

    Raises:
        Problem: 404 for an unknown token, 412 where it was answered or its time is over.
    """
    form: HumanForm | None = instance.forms.get(token)
    if form is None:
        raise problem("not_found", f"form not found, token={token}", 404)
    if form.submitted:
        text = f"This form has already been submitted by another user, form_id={form.id}"
        raise problem("human_input_form_submitted", text, 412)
    if form.expires <= instance.now():
        raise problem("human_input_form_expired", f"This form has expired, form_id={form.id}", 412)
    return form


async def submit(instance: Instance, token: str, inputs: JsonDict, action: str) -> None:
    """Answer a form and let its run go on to the end.

    Raises:
        Problem: 400 for an action or inputs that do not fit, and as ``form_with``.
    """
    form = form_with(instance, token)
    if action not in {str(item.get("id")) for item in form.data.get("user_actions") or []}:
        raise _invalid(f"Invalid action: {action}")
    names = [str(item.get("output_variable_name")) for item in form.data.get("inputs") or []]
    missing = [name for name in names if name not in inputs]
    if missing:
        raise _invalid(f"Missing required inputs: {', '.join(missing)}")
    form.submitted, form.inputs = True, inputs
    execution = form.execution
    async for _ in execution.resumed(form.row, form.node, {name: inputs[name] for name in names}, action):
        pass
    if instance.release.resumed_runs_stop and execution.run.status == "succeeded":
        execution.run.status, execution.run.error = "stopped", _ABORTED


def paused_at(instance: Instance, run_id: str) -> list[HumanForm]:
    """Return the forms that a run waits for."""
    return [form for form in instance.forms.values() if form.execution.run.id == run_id and not form.submitted]


def _token(instance: Instance) -> str:
    letters = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
    return "".join(instance.rng.choice(letters) for _ in range(22))


def _invalid(text: str) -> Problem:
    return problem("invalid_form_data", text, 400)
