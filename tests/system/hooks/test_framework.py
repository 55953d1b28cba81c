"""Our hooks in somebody's ``.pre-commit-config.yaml``: not a character of theirs changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from loki_hooks.assets import template_text
from loki_hooks.domain.install.values import THROUGH_FRAMEWORK, FrameworkConfig
from loki_hooks.errors import BadInputError
from loki_hooks.system.hooks.framework import read_config

LOOSE = "repos:\n- repo: local\n  hooks:\n  - id: a\n    name: a\n    entry: a\n    language: system\n"
LAYOUTS = {
    "plain": LOOSE,
    "no newline at the end": LOOSE.rstrip("\n"),
    "crlf": LOOSE.replace("\n", "\r\n"),
    "blank lines and a comment at the end": LOOSE + "\n\n# the end\n\n",
    "indented, keys after": "---\n# first\nrepos:\n    -   repo: https://x.invalid/y   # why\n        rev: 'v1'\n"
    "        hooks:\n"
    '        -   id: "b"\n            stages: [manual]\n\n\n# of ci\nci:\n  autofix: false\n',
    "empty list": "repos: []\n",
    "types in a flow list": f"default_install_hook_types: [pre-commit, post-merge]  # these\n{LOOSE}",
    "types in a long flow list": f"default_install_hook_types: [\n  pre-commit,\n  commit-msg,\n]\n{LOOSE}",
    "types in a block list": f"default_install_hook_types:\n  - pre-commit\n  - pre-push\n{LOOSE}",
    "types after": LOOSE + "default_install_hook_types: [pre-push]\n",
    "stages there": f"default_stages: [pre-push]\n{LOOSE}",
    "flow style": "{repos: [{repo: local, hooks: [{id: a, name: a, entry: a, language: system}]}]}\n",
}


def read(tmp_path: Path, text: str, installed: tuple[str, ...] = ()) -> FrameworkConfig:
    path = tmp_path / ".pre-commit-config.yaml"
    path.write_bytes(text.encode())
    return read_config(path, template_text("install/pre-commit-hook.yaml"), installed)


def value(data: bytes) -> dict[str, Any]:
    from ruamel.yaml import YAML

    loaded = YAML(typ="safe", pure=True).load(data.decode())
    assert isinstance(loaded, dict)
    return loaded


@pytest.mark.parametrize("text", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_ours_is_added_and_the_rest_keeps_its_meaning(tmp_path: Path, text: str) -> None:
    config = read(tmp_path, text)
    old, new = value(text.encode()), value(config.wanted)
    assert new["repos"][:-1] == old["repos"]
    hooks = new["repos"][-1]["hooks"]
    assert [hook["id"] for hook in hooks] == [f"loki-hooks-{name}" for name in THROUGH_FRAMEWORK]
    assert [hook["stages"] for hook in hooks] == [[name] for name in THROUGH_FRAMEWORK]
    types = old.get("default_install_hook_types", ["pre-commit"])
    assert new["default_install_hook_types"][: len(types)] == types
    assert set(new["default_install_hook_types"]) == {*types, *THROUGH_FRAMEWORK}
    again = read(tmp_path, config.wanted.decode())
    assert again.wanted == again.data


@pytest.mark.parametrize("text", [t for name, t in LAYOUTS.items() if name != "flow style"])
def test_without_the_inserted_pieces_it_is_what_it_was(tmp_path: Path, text: str) -> None:
    config = read(tmp_path, text)
    assert config.inserted
    rest = config.wanted.decode()
    for piece in config.inserted:
        assert rest.count(piece) == 1
        rest = rest.replace(piece, "")
    expected = text if text.endswith("\n") else text + "\n"
    if "]" in text.partition("repos")[0]:  # a trailing comma of a list that was extended
        assert "".join(rest.split()).replace(",]", "]") == "".join(expected.split()).replace(",]", "]")
    else:
        assert rest in {expected, expected.replace("repos: []", "repos:")}


def test_hooks_without_stages_are_kept_where_they_ran(tmp_path: Path) -> None:
    assert value(read(tmp_path, LOOSE).wanted)["default_stages"] == ["pre-commit"]
    both = ["pre-commit", "pre-push"]
    assert value(read(tmp_path, LOOSE, ("pre-commit", "pre-push")).wanted)["default_stages"] == both
    types = "default_install_hook_types: [commit-msg]\n" + LOOSE
    assert value(read(tmp_path, types).wanted)["default_stages"] == ["commit-msg"]
    assert value(read(tmp_path, LAYOUTS["stages there"]).wanted)["default_stages"] == ["pre-push"]
    assert "default_stages" not in value(read(tmp_path, LAYOUTS["indented, keys after"]).wanted)


def test_a_configuration_that_names_us_is_left_alone(tmp_path: Path) -> None:
    config = read(tmp_path, "repos:\n- repo: https://x.invalid/loki-hooks\n  rev: v1\n  hooks: [{id: pre-push}]\n")
    assert config.remote
    assert config.wanted == config.data
    assert config.types == ("pre-push",)


@pytest.mark.parametrize("text", ["", "[]", "repos: 1", "repos: [", "repos: {}\n", "a: &a [*a]"])
def test_what_is_no_configuration_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadInputError):
        read(tmp_path, text)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / ".pre-commit-config.yaml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(BadInputError):
        read_config(path, "", ())
