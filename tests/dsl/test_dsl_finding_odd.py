"""Secrets that no list of words names: passwords that people choose, and what is handed over in calls and mappings."""

from __future__ import annotations

from typing import Any

import pytest

from difyops.dsl.secret_places import found_in
from tests.dsl.dsl_samples import env, http, node, workflow
from tests.dsl.placements import Placement, missed

Document = dict[str, Any]


def code(text: str) -> Document:
    return workflow(node("c", "code", code=text, code_language="python3"))


def prompt(text: str) -> Document:
    return workflow(node("l", "llm", prompt_template=[{"id": "p", "role": "system", "text": text}]))


def variable(name: str, value: str) -> Document:
    return workflow(environment_variables=[env(name, value, "string")])


SECRETS = [
    (prompt("Wachtwoord voor de server: Tiger#751!"), "Tiger#751!"),  # the mark at the end is the password's
    (prompt("Le mot de passe est « H0us3.gav »"), "H0us3.gav"),
    (prompt("Hasło do bazy: Sommer-857"), "Sommer-857"),
    (prompt("Senha do banco -> Blume_7526x"), "Blume_7526x"),
    (prompt("username: bot, password: Admin@486"), "Admin@486"),  # of words that are usual beside secrets, and one
    (prompt("Set header X-Acme to 06b00340-6e44-4d61-8984-a9d4cddfbada"), "06b00340-6e44-4d61-8984-a9d4cddfbada"),
    (prompt("My licence: ZOVR4-OFYG8-GUTE2-PQMPX-IJVHC"), "ZOVR4-OFYG8-GUTE2-PQMPX-IJVHC"),
    (prompt("the door opens with bonjour2024!"), "bonjour2024!"),
    (code("losenord = 'Falcon-16Z'"), "Falcon-16Z"),  # without its accents
    (code("CREDS = [('alice', 'M4st3r.oaX'), ('bob', None)]"), "M4st3r.oaX"),
    (code("jwt.encode(payload, 'lantern-thunder-pebble-44', algorithm='HS256')"), "lantern-thunder-pebble-44"),
    (code("$pwd = ConvertTo-SecureString 'Winter_388!' -AsPlainText"), "Winter_388!"),
    (code("subprocess.run(['mysqldump', '-uroot', '-pT8PWYPQySP2ZNEhnd2iE', 'x'])"), "T8PWYPQySP2ZNEhnd2iE"),
    (code("cmd = 'mongosh -u u -p 5x910LSze'"), "5x910LSze"),
    (code("password = input() or 'Torre_Torre47'"), "Torre_Torre47"),
    (code("snow = Client(instance='i', password='Zt09@dar.6')"), "Zt09@dar.6"),  # no address of a mailbox
    (code("curl_setopt($ch, CURLOPT_USERPWD, 'u:AFa10VJgf');"), "AFa10VJgf"),
    (code("req.setRequestHeader('X-Key', 'rbvrcv4r9rxlcb9tmsouentjb6')"), "rbvrcv4r9rxlcb9tmsouentjb6"),
    (http(headers="X-Device:c7a01971-9068-4ddb-891d-ceea5a7c657a"), "c7a01971-9068-4ddb-891d-ceea5a7c657a"),
    (http(url="https://m.example/sse?v=WxM9O138cx0jwVpaiNmElejc"), "WxM9O138cx0jwVpaiNmElejc"),
    (variable("cle_api", "77a33402-4e75-4493-8c20-ee993db6e805"), "77a33402-4e75-4493-8c20-ee993db6e805"),
    (variable("admin_pin", "Vodka-7612x"), "Vodka-7612x"),
    (
        variable("M", '{"x": {"env": {"ACME": "9de2fe6f-c81e-4704-b18c-9e3d3f25120d"}}}'),
        "9de2fe6f-c81e-4704-b18c-9e3d3f25120d",
    ),
]


@pytest.mark.parametrize(("document", "secret"), SECRETS, ids=[secret for _, secret in SECRETS])
def test_what_is_written_like_a_secret_is_cut_whole(document: Document, secret: str) -> None:
    assert missed(Placement(name=secret, document=document, secrets=(secret,))) == []


@pytest.mark.parametrize(
    "document",
    [
        prompt("Use Claude-3.5 or GPT-4o-mini, Llama-3.1-405B-Instruct or Qwen2.5-72B; ISO-8859-1."),
        prompt("The vehicle_api and the article api answer with Content-MD5; see https://docs.example/d/1AbCdEfGh2345"),
        code("design('GPT4Turbo'); author('Model3Large'); rows = table.assign('col_12x')"),
        code("key = service.auth.scope1\nrequest = 'tc3_request'\nsign(x, 'tc3_request')"),
        http(headers="X-Request-Id:c7a01971-9068-4ddb-891d-ceea5a7c657a"),
        http(url="https://m.example/a?file_id=WxM9O138cx0jwVpaiNmElejc&width=100%25"),
        variable("spreadsheet_token", "Sht1Cshdf7QxTAbLE9kL2mN4"),
        variable("shell", "$dbPassword and %(name)s and ${HOME}"),
    ],
)
def test_names_versions_and_ids_stay(document: Document) -> None:
    assert found_in(document) == {}
