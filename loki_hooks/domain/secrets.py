"""What is a secret: by a file's name, by what a file holds, by a variable's name; and how a text is shown without it."""

from __future__ import annotations

import fnmatch
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loki_hooks.domain.streams.record import StreamRecord

SECRETS = (
    ".env",
    ".env.*",
    "*.env",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.keystore",
    "id_rsa*",
    "id_ed25519*",
    "id_ecdsa*",
    "id_dsa*",
    "credentials*",
    "*credentials.json",
    "secrets.*",
    ".netrc",
    ".pypirc",
    ".npmrc",
    "*.kdbx",
    ".htpasswd",
    "service-account*.json",
    ".envrc",
    ".env-*",
    ".env_*",
    ".env~",
    "*.ppk",
    ".git-credentials",
    ".pgpass",
    "*.agekey",
    "kubeconfig",
)
SECRET_FOLDERS = (".ssh", ".gnupg", ".aws", ".kube")
NOT_SECRET = (
    ".env.example",
    ".env.sample",
    ".env.template",
    ".env.dist",
    "*.pub",
    "credentials*.py",
    "credentials*.md",
    "secrets.py",
    "secrets.md",
)
MASK = "***"
SHORTEST = 6
"""Characters of a value that is worth hiding: what is shorter stands in too many texts by accident."""
_SURE = 12
"""Characters from which a value means the secret wherever it stands, not only after its name."""
_LINE_OF_KEY = 40
_KEY = re.compile(
    rb"^-----BEGIN ([A-Z0-9]+ )*PRIVATE KEY( BLOCK)?-----"
    rb"|-----BEGIN ([A-Z0-9]+ )*PRIVATE KEY( BLOCK)?-----(\\[rn]|\s)*[A-Za-z0-9+/]{20}"  # in a JSON or another text
    rb"|^PuTTY-User-Key-File-\d"
    rb"|AGE-SECRET-KEY-1[0-9A-Z]{20}",
    re.MULTILINE,
)
_ASSIGNMENT = re.compile(r"""[ \t]*(?:export[ \t]+|set[ \t]+|[-"'{,][ \t]*)*([A-Za-z_][\w.-]*)["']?[ \t]*[=:](.*)""")
_LONGEST_LINE = 8192
_PLAIN = frozenset(
    {
        "password",
        "passwd",
        "changeme",
        "example",
        "localhost",
        "postgres",
        "development",
        "production",
        "testing",
        "default",
        "secret",
        "disabled",
        "enabled",
        "required",
        "optional",
        "undefined",
    }
)
_WORDS = frozenset(
    {
        "AUTH",
        "APIKEY",
        "BEARER",
        "COOKIE",
        "CREDENTIAL",
        "CREDENTIALS",
        "CREDS",
        "DSN",
        "JWT",
        "KEY",
        "KEYS",
        "PASS",
        "PASSPHRASE",
        "PASSWD",
        "PASSWORD",
        "PASSWORDS",
        "PAT",
        "PRIVATE",
        "PWD",
        "SALT",
        "SECRET",
        "SECRETS",
        "TOKEN",
        "TOKENS",
        "WEBHOOK",
    }
)
_ENDS = ("TOKEN", "SECRET", "PASSWORD", "PASSWD", "KEY", "CREDENTIALS")
_OPEN = re.compile(r"(~|\.{1,2})?(/[\w.@:+-]+)+/?(:.*)?|[\d.,:]{1,11}")
"""Paths and numbers."""
_RANDOM = re.compile(r"(?=.*[A-Za-z])(?=.*\d)[\w.+/=~:-]{20,}")
_USERINFO = re.compile(r"\b([a-z][a-z0-9+.-]{0,20})://([^\s/@'\"<>\\]+)@", re.IGNORECASE)
_URL_SO_FAR = re.compile(r"[A-Za-z][\w+.-]{0,20}(?::(?:/(?:/\S*)?)?)?$")
_LONGEST_URL = 4096
_IN_QUERY = re.compile(
    r"([?&](?:access_token|private_token|auth_token|oauth_token|job_token|api_?key|token|key|password|secret|sig|signature)=)"
    r"[^&\s'\"<>#\\]+",
    re.IGNORECASE,
)


def looks_secret(path: str) -> bool:
    """Return whether a file's name says that it holds a secret, at any depth."""
    *folders, name = path.lower().rstrip("/").split("/")
    if any(folder in SECRET_FOLDERS for folder in folders):
        return True
    return any(fnmatch.fnmatchcase(name, p) for p in SECRETS) and not _is_example(name)


def _is_example(name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, p) for p in NOT_SECRET)


def holds_key(data: bytes) -> bool:
    """Return whether a private key is in ``data``: PEM, OpenSSH, PGP, PuTTY, age."""
    return _KEY.search(data) is not None


def assignments(text: str) -> Iterator[tuple[str, str]]:
    """Yield what ``text`` assigns, a ``NAME=value`` or ``name: value`` a line, without quotes and comments."""
    for line in text.splitlines():
        found = _ASSIGNMENT.match(line) if len(line) <= _LONGEST_LINE else None
        if found is None:
            continue
        name, value = found[1], found[2].strip().removesuffix(",").rstrip()
        quoted = re.match(r"""(["'])(.*)\1""", value)
        value = quoted[2] if quoted else re.split(r"\s#", value)[0].strip()
        if value:
            yield name, value


def names_secret(name: str) -> bool:
    """Return whether a variable's name says that its value is a secret."""
    parts = re.split(r"[_.-]", re.sub(r"([a-z])([A-Z])", r"\1_\2", name).upper())
    return any(part in _WORDS or part.endswith(_ENDS) for part in parts)


def telling(name: str, value: str) -> tuple[str, ...]:
    """Return what of a variable's value is secret: all of it, parts of it, or nothing."""
    found = [part for url in _USERINFO.finditer(value) for part in _passwords(url[1], url[2])]
    plain = len(value) < SHORTEST or value.lower() in _PLAIN or _OPEN.fullmatch(value) is not None
    if not plain and (names_secret(name) or (_RANDOM.fullmatch(value) and "://" not in value)):
        found += [value, *(line.strip() for line in value.splitlines() if "\n" in value)]
    return tuple(part for part in found if len(part) >= SHORTEST and part.lower() not in _PLAIN)


def _passwords(scheme: str, userinfo: str) -> tuple[str, ...]:
    user, colon, password = userinfo.partition(":")
    if colon:
        return (password,)
    return () if scheme.lower().endswith("ssh") or scheme.lower() == "git" else (user,)


@dataclass(frozen=True)
class Secrets:
    """What is known of the environment files of a worktree: their contents' hashes, and what they assign."""

    digests: frozenset[str] = frozenset()
    files: tuple[frozenset[tuple[str, str]], ...] = ()

    def within(self, name: str, data: bytes) -> bool:
        """Return whether a file called ``name`` with the content ``data`` holds a key, or what an environment file holds."""
        if holds_key(data):
            return True
        if not self.digests and not self.files:
            return False
        if data and hashlib.sha256(data).hexdigest() in self.digests:
            return True
        text = data.decode("utf-8", "replace")
        said = set(assignments(text)) if self.files else set()
        return any(
            self._is_told(text, said, pairs, _is_example(name.rpartition("/")[2].lower())) for pairs in self.files
        )

    @staticmethod
    def _is_told(text: str, said: set[tuple[str, str]], pairs: frozenset[tuple[str, str]], example: bool) -> bool:
        for name, value in pairs:
            parts = telling(name, value)
            if any(len(part) >= _SURE and part in text for part in parts) or (parts and (name, value) in said):
                return True
        shared = len(pairs & said)
        return not example and shared >= 2 and 2 * shared >= len(pairs)


_KEY_LIKE = re.compile(r"[A-Za-z0-9_+/=.-]{16,}")


def key_like(text: str) -> frozenset[str]:
    """Return the words of a text that may be keys: long ones of letters and digits. (Commit ids and versions are among them.)"""
    words = _KEY_LIKE.findall(text)
    return frozenset(w for w in words if any(c.isdigit() for c in w) and any(c.isalpha() for c in w))


class Scrubber:
    """Takes known secrets, and what authenticates in a URL, out of texts."""

    def __init__(self, values: Iterable[str]) -> None:
        from urllib.parse import quote

        every = {form for value in values for form in (value, quote(value, safe=""), value.replace("\n", "\\n"))}
        self._values = sorted((v for v in every if len(v) >= SHORTEST), key=lambda v: (-len(v), v))
        self._pattern = re.compile("|".join(map(re.escape, self._values))) if self._values else None
        self._longest = max(map(len, self._values), default=0)
        self._held = ""

    def scrub(self, text: str) -> str:
        """Return ``text`` without them."""
        return without_credentials(self._pattern.sub(MASK, text) if self._pattern else text)

    def feed(self, text: str) -> str:
        """Return what can be shown of a text that comes in parts; what may be the beginning of a secret is held back."""
        text = self.scrub(self._held + text)
        keep = self._beginning(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def rest(self) -> str:
        """Return what was held back: nothing more comes."""
        held, self._held = self._held, ""
        return held

    def _beginning(self, text: str) -> int:
        """Return how many of the last characters may begin a secret, or a URL, or belong to one that is not whole."""
        url = _URL_SO_FAR.search(text[-_LONGEST_URL:])
        least = len(url[0]) if url else 0
        for count in range(min(self._longest - 1, len(text)), least, -1):
            end = text[len(text) - count :]
            if any(value.startswith(end) for value in self._values):
                return count
        return least


def scrubber(environment: Mapping[str, str], contents: Iterable[str]) -> Scrubber:
    """Return what hides the secrets among these variables, and what environment files with these contents hold."""
    texts = list(contents)
    pairs = [*environment.items(), *(pair for text in texts for pair in assignments(text))]
    keys = [line.strip() for text in texts if holds_key(text.encode("utf-8", "replace")) for line in text.splitlines()]
    values = [part for name, value in pairs for part in telling(name, value)]
    return Scrubber([*values, *(line for line in keys if len(line) >= _LINE_OF_KEY and "-----" not in line)])


def without_credentials(text: str) -> str:
    """Return ``text`` without what authenticates in its URLs: ``https://***@host/…``. A mere user of ssh stays."""
    if "://" not in text:
        return text
    return _IN_QUERY.sub(rf"\1{MASK}", _USERINFO.sub(_masked, text))


def _masked(found: re.Match[str]) -> str:
    return f"{found[1]}://{MASK}@" if _passwords(found[1], found[2]) else found[0]


def withheld_of(record: StreamRecord) -> Callable[[str], bool]:
    """Return what tells of a path in the stream's worktree whether it may be in no snapshot, by its name."""
    copied = {name for name, _ in record.copied}
    return lambda path: path in copied or looks_secret(path)
