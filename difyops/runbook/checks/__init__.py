"""Checks, one file each, found by walking this folder. A file has one coroutine ``check(resources, *, ...) -> Result``.

A check only reads, or leaves out in a dry run what does more (a real run of an app costs tokens). What it was asked to
measure and did measure is pass, warn or fail; when the measuring itself went wrong it raises one of our errors, or
returns ``Inconclusive``. Nothing else belongs here: what two checks share lives beside this folder.

A new check is one file and one test. ``checks/mail_age.py`` becomes ``check: mail.age``:

    async def check(resources: Resources, *, server: str, max_age: Duration = 300.0, token: Reference) -> Result:
        \"\"\"One line that says what it holds to what; then what it needs, what it costs, what it cannot tell.\"\"\"
        age = await measure(server)  # errors of ours that are raised in here make the step inconclusive
        return held(Value(name="age", value=age, unit="s", fail=max_age), f"the oldest is {age:g} s old")

``Duration`` reads ``5m`` and is seconds inside; ``Reference`` is ``env:NAME`` and the like, resolved by
``resources.secret``. ``difyops runbook show mail.age`` shows the docstring, ``lint`` holds runbooks to the types.
"""
