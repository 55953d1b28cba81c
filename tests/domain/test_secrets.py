"""Secrets are told by what a file holds; no text shows one, in however many parts it comes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_hooks.domain.secrets import (
    MASK,
    Scrubber,
    Secrets,
    assignments,
    holds_key,
    names_secret,
    scrubber,
    telling,
    without_credentials,
)

BODY = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7"
ENV = "# mine\nexport API_TOKEN='f3b1-never-to-be-seen' # old\nDB_PASSWORD=hunter2\nPORT=8000\nMODE=development\n"


def secrets_in(text: str) -> Secrets:
    return Secrets(files=(frozenset(assignments(text)),))


@pytest.mark.parametrize(
    "text",
    [
        f"-----BEGIN PRIVATE KEY-----\n{BODY}\n",
        f"text before\r\n-----BEGIN RSA PRIVATE KEY-----\r\n{BODY}\r\n",
        f"-----BEGIN OPENSSH PRIVATE KEY-----\n{BODY}\n",
        f"-----BEGIN ENCRYPTED PRIVATE KEY-----\n{BODY}\n",
        f"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{BODY}\n",
        f'{{"private_key": "-----BEGIN PRIVATE KEY-----\\n{BODY}\\n"}}',
        "PuTTY-User-Key-File-3: ssh-ed25519\n",
        "# created: today\nAGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQ\n",
    ],
)
def test_private_keys(text: str) -> None:
    assert holds_key(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        'if text.startswith("-----BEGIN PRIVATE KEY-----"):\n',
        f"-----BEGIN PUBLIC KEY-----\n{BODY}\n",
        "ssh-ed25519 AAAA me\n",
        "",
    ],
)
def test_what_is_no_private_key(text: str) -> None:
    assert not holds_key(text.encode())


@pytest.mark.parametrize(
    ("name", "data", "secret"),
    [
        ("copy.txt", ENV, True),
        ("part.txt", "API_TOKEN=f3b1-never-to-be-seen\n", True),
        ("settings.json", '{"token": "f3b1-never-to-be-seen"}', True),
        ("short.txt", "DB_PASSWORD=hunter2\n", True),
        ("compose.yml", "environment:\n  - DB_PASSWORD=hunter2\n", True),
        ("changed.txt", ENV.replace("f3b1-never-to-be-seen", "").replace("hunter2", ""), True),
        ("prose.md", "the film with hunter2 in it\n", False),
        ("start.sh", "PORT=8000\n", False),
        (".env.example", "API_TOKEN=\nDB_PASSWORD=\nPORT=8000\nMODE=development\n", False),
        ("app.py", "mode = 'development'\n", False),
    ],
)
def test_what_an_environment_file_holds_is_told_under_another_name(name: str, data: str, secret: bool) -> None:
    assert secrets_in(ENV).within(name, data.encode()) is secret
    assert not Secrets().within(name, data.encode())


def test_what_of_a_variable_is_secret() -> None:
    assert telling("DATABASE_URL", "postgres://app:s3cr3t-pw@db/app") == ("s3cr3t-pw",)
    assert telling("ANYTHING", "ghp_16C7e42F292c6912E7710c838347Ae178B4a") != ()
    for name, value in (
        ("SSH_AUTH_SOCK", "/run/user/1000/keyring/ssh"),
        ("MAX_TOKENS", "100000"),
        ("GIT_AUTHOR_NAME", "A Long Name"),
        ("PASSWORD", "password"),
        ("TOKEN", "abc"),
        ("PWD", "/home/me/project"),
    ):
        assert telling(name, value) == (), name
    for name in ("TOKEN", "apiKey", "PGPASSWORD", "AWS_SECRET_ACCESS_KEY", "db.password", "GH_PAT"):
        assert names_secret(name), name
    for name in ("AUTHOR", "KEYBOARD", "COMPASS", "PATH", "TOKENIZER"):
        assert not names_secret(name), name


@given(
    st.text(min_size=6, max_size=20).filter(lambda t: t.strip() and MASK[0] not in t),
    st.text(max_size=20),
    st.text(max_size=20),
    st.lists(st.integers(0, 60), max_size=6),
)
def test_no_part_of_a_text_shows_the_secret(secret: str, before: str, after: str, cuts: list[int]) -> None:
    text = before + secret + after
    shown = Scrubber([secret])
    assert secret not in shown.scrub(text)
    at = sorted({0, *(cut for cut in cuts if cut < len(text))})
    parts = [text[a:b] for a, b in zip(at, [*at[1:], len(text)], strict=True)]
    fed = "".join([*(shown.feed(part) for part in parts), shown.rest()])
    assert secret not in fed
    assert fed == shown.scrub(text)


@given(st.lists(st.text(alphabet="ab:/@. \n", max_size=4), max_size=5))
def test_what_holds_no_secret_comes_through_whole(parts: list[str]) -> None:
    shown = Scrubber(["never-there"])
    text = "".join(parts)
    assert "".join([*(shown.feed(part) for part in parts), shown.rest()]) == without_credentials(text)


def test_secrets_of_variables_and_files_are_hidden_in_every_spelling() -> None:
    shown = scrubber({"MY_TOKEN": "a+b/c d-long", "HOME": "/home/me"}, [ENV, f"-----BEGIN PRIVATE KEY-----\n{BODY}\n"])
    text = f"a+b/c d-long a%2Bb%2Fc%20d-long hunter2 f3b1-never-to-be-seen 8000 /home/me {BODY}"
    assert shown.scrub(text) == f"{MASK} {MASK} {MASK} {MASK} 8000 /home/me {MASK}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:t0ken@host/x.git", "https://***@host/x.git"),
        (
            "fatal: 'https://ghp_abcdef@host/x' and http://a:b@[::1]:80/",
            "fatal: 'https://***@host/x' and http://***@[::1]:80/",
        ),
        ("ssh://git@host/x git://host git@host:x", "ssh://git@host/x git://host git@host:x"),
        ("ssh://me:pw@host", "ssh://***@host"),
        ("https://host/x?private_token=abc&a=1", "https://host/x?private_token=***&a=1"),
        ("https://host/@scope/package", "https://host/@scope/package"),
        ('"https://me:t0ken@host"', '"https://***@host"'),
    ],
)
def test_a_url_is_shown_without_what_authenticates(text: str, shown: str) -> None:
    assert without_credentials(text) == shown
    assert without_credentials(shown) == shown
