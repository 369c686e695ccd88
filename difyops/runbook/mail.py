"""Sending one e-mail through SMTP. No queue, no retries, no attachments."""

from __future__ import annotations

import smtplib
import ssl
from dataclasses import dataclass
from email.errors import MessageError
from email.message import EmailMessage

from difyops.errors import Unreachable, UsageError
from difyops.runbook.threads import apart
from difyops.secret_text import SecretText, scrub

_SECONDS = 15.0
_TLS_PORT = 465


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What is sent to whom."""

    to: tuple[str, ...]
    sender: str
    subject: str
    body: str


async def send(server: str, letter: Letter, *, user: str | None = None, password: SecretText | None = None) -> None:
    """Send ``letter`` through ``server`` (``host:port``); STARTTLS where it is offered.

    Raises:
        UsageError: no such address. Unreachable: the server does not answer, or refuses (also: a password without TLS).
    """
    host, _, port = server.rpartition(":")
    if not host or not port.isdigit():
        raise UsageError("smtp must be host:port, such as mail.example.com:587.")
    try:
        message = _message(letter)
    except (ValueError, MessageError) as error:
        raise UsageError(f"The e-mail cannot be made: {error}.") from error
    try:
        await apart(lambda: _deliver(host, int(port), message, user, password))
    except (OSError, smtplib.SMTPException) as error:
        raise Unreachable(f"{server} did not take the e-mail: {scrub(str(error))[:200]}.") from error


def _message(letter: Letter) -> EmailMessage:
    message = EmailMessage()
    message["From"] = letter.sender
    message["To"] = ", ".join(letter.to)
    message["Subject"] = " ".join(letter.subject.split())
    message.set_content(letter.body)
    return message


def _deliver(host: str, port: int, message: EmailMessage, user: str | None, password: SecretText | None) -> None:
    trust = ssl.create_default_context()
    if port == _TLS_PORT:
        opened: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=_SECONDS, context=trust)
    else:
        opened = smtplib.SMTP(host, port, timeout=_SECONDS)
    with opened as connection:
        connection.ehlo()
        secured = port == _TLS_PORT
        if not secured and connection.has_extn("starttls"):
            connection.starttls(context=trust)
            connection.ehlo()
            secured = True
        if user and password:
            if not secured:
                raise smtplib.SMTPException("it offers no TLS, and a password is not sent in clear")
            connection.login(user, password.reveal())
        connection.send_message(message)
