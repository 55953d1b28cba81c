"""Which files of a tree are documents, and of which sort."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from loki_hooks.domain.writing.foreign import is_foreign, is_test
from loki_hooks.domain.writing.pages import PROSE_SUFFIXES, Page, Place

_CHANGELOG = re.compile(r"(?:^|^docs?/)(?:change(?:s|log)|history|news|release[-_]?notes)(?:\.\w+)?$", re.IGNORECASE)
_FRAGMENTS = re.compile(r"^(?:\.changeset|changelog\.d|changelogs?|newsfragments|news|changes|releasenotes|\.changes)/")
_README = re.compile(r"(?:^|/)readme(?:\.\w+)?$", re.IGNORECASE)
_API = re.compile(r"(?:^|/)[\w.-]*(?:openapi|swagger)[\w.-]*\.(?:ya?ml|json)$", re.IGNORECASE)
_SOURCES = re.compile(r"(?:^|/)(?:src|resources)/")
_HOUSEKEEPING = re.compile(
    r"(?:^|/)(?:pyproject\.toml|setup\.(?:py|cfg)|package(?:-lock)?\.json|Cargo\.(?:toml|lock)|go\.(?:mod|sum|work)|pom\.xml|"
    r"(?:build|settings)\.gradle(?:\.kts)?|gradle\.properties|Gemfile(?:\.lock)?|Rakefile|[^/]+\.gemspec|tox\.ini|noxfile\.py|"
    r"pytest\.ini|mypy\.ini|tsconfig[^/]*\.json|yarn\.lock|pnpm-[^/]+\.yaml|[^/]+\.lock|requirements[^/]*\.(?:txt|in)|"
    r"_?version\.\w+|__version__\.py|__about__\.py|uv\.lock|MANIFEST\.in|[^/]+\.config\.[cm]?[jt]s|lerna\.json|mise\.toml|"
    r"rust-toolchain[^/]*|deny\.toml|clippy\.toml|rustfmt\.toml|cliff\.toml)$",
    re.IGNORECASE,
)
_UPGRADE = re.compile(r"(?:^|/)[^/]*(?:migrat|upgrad)[^/]*$", re.IGNORECASE)
_MAIN = re.compile(
    r"^[^/]+$|(?:^|/)(?:docs?|documentation|manual|guides?)/|^(?:website|site|www|web)/(?:.*/)?(?:docs?|content|guides?|pages)/|"
    r"^(?:website|site|www)/[^/]+$|^(?:man|wiki|book|content)/|(?:^|/)docs?[-_][\w-]+/",
    re.IGNORECASE,
)
"""Where the main documents of projects are: beside the README, in folders for them, in the content of a site."""
_ABOUT_PROJECT = re.compile(
    r"(?:^|/)(?:license|licence|copying|notice|authors?|contributors?|contributing|code[-_]of[-_]conduct|security|governance|"
    r"maintainers|codeowners|requirements|support|funding|patents|claude|agents|todo|thanks|acknowledge?ments|cmakelists|"
    r"publiccode|robots|llms|pull_request_template|issue_template|releas(?:e|ing)|backers|sponsors)[\w.-]*$|(?:^|/)\.",
    re.IGNORECASE,
)
"""What says something about the project, and nothing about how its product is used."""
_WRITTEN = (".md", ".markdown", ".mdx", ".rst", ".adoc", ".asciidoc", ".txt", ".org", ".1", ".rdoc", ".scd", ".textile")
_BINARY = re.compile(
    r"\.(?:png|jpe?g|gif|svg|ico|webp|bmp|pdf|zip|gz|tar|whl|woff2?|ttf|eot|otf|mp4|webm|mp3|wav|psd|ai|pyc|so|dll|exe|po|mo|"
    r"lock|css|scss|js|map|ipynb)$",
    re.IGNORECASE,
)
_MACHINERY = re.compile(
    r"(?:^|/)(?:conf\.py|Makefile|make\.bat|requirements[^/]*\.txt|[^/]*\.toml|mkdocs\.ya?ml|_config\.ya?ml)$"
)
"""What builds documents is none."""
_DEFINED = re.compile(
    r"^[ \t]*(?:export\s+|pub(?:\([^)]*\))?\s+|public\s+|static\s+|async\s+|default\s+)*"
    r"(?:def|class|function\*?|func(?:\s*\([^)]*\))?|fn|type|interface|struct|enum|trait|const|let|var|module)\s+([A-Za-z_]\w*)"
    r"|^([A-Za-z_]\w*)\s*(?::[^=\n]+)?=(?!=)|^(?:exports|module\.exports|[a-z]+(?:\.prototype)?)\.(\w+)\s*=",
    re.MULTILINE,
)
_DOCSTRINGS = re.compile(r"\.(?:pyi?|jsx?|mjs|cjs|tsx?|go|rs|java|rb)$")
_TRIPLE = re.compile(r"(\"\"\"|''')(.*?)\1", re.DOTALL)


def place_of(path: str, patterns: Iterable[str]) -> Place | None:
    """Return which sort of document the path is; None when it is none.

    ``patterns``: the configured ``docs.paths``, beside what counts as a document in every project.
    """
    if is_foreign(path) or _BINARY.search(path) or _MACHINERY.search(path):
        return None
    if is_changelog(path):
        return Place.CHANGELOG
    if _README.search(path):
        return None if is_test(path) else Place.README
    if _API.search(path):
        return None if is_specification(path) else Place.API
    if any(_glob(pattern).fullmatch(path) for pattern in patterns):
        return Place.DOCS
    return (
        Place.DOCS
        if _MAIN.search(path) and path.lower().endswith(_WRITTEN) and not _ABOUT_PROJECT.search(path)
        else None
    )


def matches(path: str, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns (as git reads ``:(glob)``) names the path, or a folder around it."""
    return any(
        _glob(pattern.rstrip("/")).fullmatch(path) or _glob(f"{pattern.rstrip('/')}/**").fullmatch(path)
        for pattern in patterns
    )


def is_document(path: str, patterns: Iterable[str]) -> bool:
    """Whether a change of the path alone is a change of documentation: it makes no work for documentation."""
    if place_of(path, patterns) is not None or _FRAGMENTS.match(path) or _BINARY.search(path):
        return True
    return path.lower().endswith(tuple(suffix for suffix in PROSE_SUFFIXES if suffix and suffix != ".txt"))


def is_specification(path: str) -> bool:
    """Whether the path is an OpenAPI file among sources: the program is made from it."""
    return _API.search(path) is not None and _SOURCES.search(path) is not None


def is_housekeeping(path: str) -> bool:
    """Whether each merge may touch the file, and no document becomes wrong by it: a manifest, a lock file, a tool's settings."""
    return _HOUSEKEEPING.search(path) is not None or _ABOUT_PROJECT.search(path) is not None


_LANGUAGE = re.compile(
    r"(?:^|/)(?:(?:i18n|translations?|locales?|l10n)/(?!en\b)[\w-]+/|"
    r"(?:a[rfz]|b[egn]|c[asy]|d[ae]|e[lostu]|f[air]|h[eiru]|i[dt]|ja|k[aokm]|l[tv]|m[nrs]|n[bnlo]|p[lt]|r[ou]|s[klrv]|t[ahrlw]|u[kz]|vi|"
    r"zh|jp|cn|kr)(?:[-_][A-Za-z]{2,4})?/)|"
    r"[._-](?:a[rz]|cs|d[ae]|e[ls]|f[air]|h[eiu]|i[dt]|ja|jp|ko|kr|nl|p[lt]|pt-?br|r[ou]|tr|uk|vi|zh|cn|zh[-_](?:cn|tw|hans|hant))\.\w+$",
    re.IGNORECASE,
)


def is_translation(path: str) -> bool:
    """Whether the path is that of a document in another language than English: who mends the original has it translated."""
    return _LANGUAGE.search(path) is not None


def is_changelog(path: str) -> bool:
    return _CHANGELOG.search(path) is not None


def is_fragment(path: str) -> bool:
    """Whether the path is a piece of a changelog that a tool puts together."""
    return _FRAGMENTS.match(path) is not None


def is_upgrade_guide(path: str) -> bool:
    return _UPGRADE.search(path) is not None


def may_have_docstrings(path: str) -> bool:
    return _DOCSTRINGS.search(path) is not None and not is_test(path) and not is_foreign(path)


def names_in(source: str) -> frozenset[str]:
    """Return what a source file seems to define, in any language: good enough to see which documents speak of the file."""
    names = (found[1] or found[2] or found[3] for found in _DEFINED.finditer(source))
    return frozenset(name for name in names if len(name) > 2 and not name.startswith("_"))


def docstrings_of(path: str, text: str) -> Page | None:
    """Return the page of a code file's docstrings and documentation comments; None when it has none.

    Of Python these are the triple-quoted texts; elsewhere comment blocks and lines that are comments alone.
    """
    numbers: set[int] = set()
    if path.endswith((".py", ".pyi")):
        for found in _TRIPLE.finditer(text):
            first = text.count("\n", 0, found.start()) + 1
            numbers.update(range(first, first + found[0].count("\n") + 1))
    else:
        marks = ("#",) if path.endswith(".rb") else ("//", "/*", "*")
        inside = False
        for number, line in enumerate(text.splitlines(), 1):
            bare = line.lstrip()
            inside = inside or bare.startswith("/**")
            if inside or (bare.startswith(marks) and not bare.startswith("*")):
                numbers.add(number)
            inside = inside and "*/" not in bare
    return Page(path, Place.DOCSTRING, text, frozenset(numbers)) if numbers else None


@lru_cache(maxsize=256)
def _glob(pattern: str) -> re.Pattern[str]:
    """Return the pattern as git reads ``:(glob)``: ``*`` stays within a folder, ``**`` does not."""
    text = ""
    index = 0
    bare = pattern.lstrip("/")
    while index < len(bare):
        if bare.startswith("**/", index):
            text, index = text + "(?:.*/)?", index + 3
        elif bare.startswith("**", index):
            text, index = text + ".*", index + 2
        elif bare[index] == "*":
            text, index = text + "[^/]*", index + 1
        elif bare[index] == "?":
            text, index = text + "[^/]", index + 1
        else:
            text, index = text + re.escape(bare[index]), index + 1
    return re.compile(text + ("(?:/.*)?" if not re.search(r"[*?]", bare) else ""))
