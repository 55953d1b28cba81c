"""The ways to land, conflicts of additions, results from elsewhere, and a train that cannot be built."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Repo
from support.scripted import yard

from loki_hooks.domain.landing.additive import only_adds


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_TRUST", "1")


def test_a_squashed_stream_is_one_commit_that_names_its_tip_and_goes_away(repo: Repo) -> None:
    made = yard(repo, more='[merge]\nhow = "squash"\n')
    made.open("auth")
    made.repo.commit("First half", {"a.txt": "1"}, cwd=made.tree_of("auth"))
    tip = made.work("auth", {"b.txt": "2"})
    before = repo.git("rev-parse", "main")
    made.run()
    assert repo.git("rev-parse", "main^") == before
    assert repo.git("log", "-1", "--format=%P", "main") == before
    message = repo.git("log", "-1", "--format=%B", "main")
    assert f"Loki-Tip: {tip}" in message
    assert "- First half" in message
    assert {"a.txt", "b.txt"} <= made.on_main()
    assert len(made.runs()) == 1


def test_a_squashed_commit_is_its_authors_and_keeps_the_footers(repo: Repo) -> None:
    made = yard(repo, more='[merge]\nhow = "squash"\n')
    made.open("auth")
    tree = made.tree_of("auth")
    repo.write("a.txt", "1", tree)
    repo.git("add", "-A", cwd=tree)
    footers = "Co-authored-by: Bob <bob@example.org>\nSigned-off-by: Ada <ada@example.org>"
    words = ("-m", "feat: a", "-m", "BREAKING CHANGE: the wire format is new", "-m", footers)
    repo.git("commit", "-q", "--author", "Ada <ada@example.org>", "--date", "@1700000000 +0100", *words, cwd=tree)
    tip = repo.git("rev-parse", "HEAD", cwd=tree)
    made.ready("auth")
    made.run()
    assert (
        repo.git("log", "-1", "--format=%an <%ae> %ad", "--date=raw", "main")
        == "Ada <ada@example.org> 1700000000 +0100"
    )
    body = repo.git("log", "-1", "--format=%B", "main")
    assert "\n\nBREAKING CHANGE: the wire format is new\n\n" in body
    kept = repo.git("log", "-1", "--format=%(trailers:only,unfold)", "main").splitlines()
    assert {*footers.splitlines(), f"Loki-Tip: {tip}", "Loki-Stream: feature-auth"} <= set(kept)
    assert not repo.git("for-each-ref", "refs/heads/feature/auth")


def test_what_was_built_on_a_stream_survives_its_squashed_landing(repo: Repo) -> None:
    made = yard(repo, more='[merge]\nhow = "squash"\nauto = false\n')
    repo.commit("Begin", {"f": "zero\n"})
    made.open("a")
    repo.commit("A1", {"f": "one\ntwo\n"}, cwd=made.tree_of("a"))
    repo.commit("A2", {"f": "one\nTWO\n"}, cwd=made.tree_of("a"))
    made.spawn("b", "c", "--no-launch", "--base", "feature/a")
    repo.commit("B1", {"f": "ONE\nTWO\n"}, cwd=made.tree_of("b"))
    repo.commit("C1", {"f": "one\nTWO\nthree\n"}, cwd=made.tree_of("c"))
    assert repo.loki("finish", "a", "--merge").code == 0
    assert repo.git("show", "main:f") == "one\nTWO"
    done = repo.loki("finish", "b", "--merge")
    assert done.code == 0, done.err
    assert repo.git("show", "main:f") == "ONE\nTWO"
    assert "A1" not in repo.git("log", "-1", "--format=%B", "main")
    assert not made.tree_of("b").exists(), "it is known to have landed"
    synced = repo.loki("sync", "c")
    assert synced.code == 0, synced.err
    assert (made.tree_of("c") / "f").read_text() == "ONE\nTWO\nthree\n"
    assert repo.git("log", "--format=%s", "main..feature/c") == "C1"


def test_a_trailer_alone_makes_nothing_count_as_landed(repo: Repo) -> None:
    made = yard(repo)
    made.open("a")
    first = repo.commit("A1", {"a.txt": "1"}, cwd=made.tree_of("a"))
    made.spawn("b", "--no-launch", "--base", "feature/a")
    repo.commit(f"Other\n\nLoki-Tip: {first}", {"o.txt": "o"})
    made.work("b", {"b.txt": "2"})
    made.run()
    assert {"a.txt", "b.txt", "o.txt"} <= made.on_main()


def test_who_cannot_sign_holds_nobody_up_and_lands_what_was_tested_when_it_can(repo: Repo, tmp_path: Path) -> None:
    made = yard(repo)
    made.streams({"one": {"a.txt": "1"}})
    signer = repo.write("gpg", "#!/bin/sh\n[ -e \"$0.on\" ] || { echo 'gpg: no pinentry' >&2; exit 2; }\n", tmp_path)
    signer.write_text(
        signer.read_text() + 'echo "[GNUPG:] SIG_CREATED D 1 8 00 1 X" >&2\ncat >/dev/null\n'
        'printf -- "-----BEGIN PGP SIGNATURE-----\\n\\nx\\n-----END PGP SIGNATURE-----\\n"\n'
    )
    signer.chmod(0o755)
    for key, value in (("gpg.program", str(signer)), ("commit.gpgSign", "true"), ("log.showSignature", "true")):
        repo.git("config", key, value)
    made.run()
    assert "gpg failed to sign" in made.record("one")["reason"]
    (tmp_path / "gpg.on").touch()
    made.run()
    assert "a.txt" in made.on_main()
    landed = repo.git("rev-parse", "main")
    assert "gpgsig" in repo.git("cat-file", "commit", landed)
    assert landed in {event["commit"] for event in made.events("testing")}


def test_how_may_be_set_per_kind(repo: Repo) -> None:
    made = yard(repo, more='[merge.how]\nqa = "squash"\n')
    made.open("auth")
    made.spawn("--no-launch", "--kind", "qa", "qa")
    made.work("auth", {"a.txt": "1"})
    made.repo.commit("Check", {"q.txt": "1"}, cwd=made.path.parent / "project-qa")
    repo.loki("signal", "emit", "FEATURE_READY_qa")
    made.run()
    assert {"a.txt", "q.txt"} <= made.on_main()
    parents = {
        len(line.split()) for line in repo.git("log", "--first-parent", "-2", "--format=%P", "main").splitlines()
    }
    assert parents == {1, 2}


def test_additions_on_both_sides_of_a_changelog_are_both_kept_and_tested(repo: Repo) -> None:
    made = yard(repo)
    repo.commit("Log", {"CHANGELOG.md": "# Changes\n\n- begun\n"})
    made.streams(
        {
            "one": {"CHANGELOG.md": "# Changes\n\n- one\n- begun\n"},
            "two": {"CHANGELOG.md": "# Changes\n\n- two\n- begun\n"},
        }
    )
    made.run()
    assert set(made.landed()) == {"one", "two"}
    text = repo.git("show", "main:CHANGELOG.md")
    assert "- one" in text
    assert "- two" in text
    assert "<<<<" not in text
    assert repo.git("rev-parse", "main^{tree}") in made.runs()


def test_a_changed_line_of_a_changelog_is_a_conflict(repo: Repo) -> None:
    made = yard(repo)
    repo.commit("Log", {"CHANGELOG.md": "# Changes\n\n- begun\n"})
    made.streams({"one": {"CHANGELOG.md": "# Changes\n\n- one\n"}})
    repo.commit("Meanwhile", {"CHANGELOG.md": "# Changes\n\n- other\n"})
    made.run()
    assert made.status("one") == "conflicted"
    assert "CHANGELOG.md" in made.record("one")["reason"]


def test_other_files_conflict_as_ever(repo: Repo) -> None:
    made = yard(repo)
    repo.commit("Notes", {"notes.md": "a\n"})
    made.streams({"one": {"notes.md": "one\na\n"}})
    repo.commit("Meanwhile", {"notes.md": "other\na\n"})
    made.run()
    assert made.status("one") == "conflicted"
    assert repo.git("log", "-1", "--format=%s", "main") == "Meanwhile"


@pytest.mark.parametrize(
    ("base", "side", "adds"),
    [
        (b"a\nb\n", b"a\nx\nb\n", True),
        (b"", b"a\n", True),
        (b"a\nb\n", b"a\n", False),
        (b"a\nb\n", b"a\nc\n", False),
        (b"a\nb\n", b"b\na\n", False),
    ],
)
def test_what_only_adds(base: bytes, side: bytes, adds: bool) -> None:
    assert only_adds(base, side) is adds


def forge(repo: Repo, tree: str) -> None:
    """Record a passing result by hand, as somebody else's clone (or an attacker) could."""
    known = repo.git("for-each-ref", "--format=%(refname) %(objectname)", "refs/loki/gates/").splitlines()
    name, blob = known[0].split()
    value = json.loads(repo.git("cat-file", "blob", blob))
    value.update(tree=tree, outcome="passed")
    path = repo.path.parent / "forged.json"
    path.write_text(json.dumps(value))
    repo.git("update-ref", f"refs/loki/gates/{tree}/{Path(name).name}", repo.git("hash-object", "-w", str(path)))


@pytest.mark.parametrize("accept", ["own", "all"])
def test_a_result_from_elsewhere_counts_only_where_the_configuration_says_so(repo: Repo, accept: str) -> None:
    made = yard(repo, more=f'[results]\naccept = "{accept}"\n')
    repo.loki("test")  # makes a first result, on main
    runs = len(made.runs())
    repo.commit("Break it", {"bad.txt": "x"})
    forge(repo, repo.git("rev-parse", "HEAD^{tree}"))
    (tested,) = json.loads(repo.loki("test", "--json").out)
    assert tested["cached"] is (accept == "all")
    assert tested["outcome"] == ("passed" if accept == "all" else "failed")
    assert len(made.runs()) == runs + (accept == "own")


def test_results_are_seen_by_every_worktree_and_the_key_is_private(repo: Repo) -> None:
    made = yard(repo)
    repo.loki("test")
    key = repo.path / ".git" / "loki" / "key"
    assert key.stat().st_mode & 0o777 == 0o600
    made.open("auth")
    (tested,) = json.loads(repo.loki("test", "--json", "main", cwd=made.tree_of("auth")).out)
    assert tested["cached"] is True


def test_without_an_identity_nothing_lands_and_the_reason_is_said(repo: Repo, sealed_home: Path) -> None:
    made = yard(repo)
    made.streams({"one": {"a.txt": "1"}})
    config = sealed_home / ".gitconfig"
    config.write_text(config.read_text().replace("name = Test", "useConfigOnly = true"))
    made.run()
    assert made.status("one") == "ready"
    assert "cannot be built" in made.record("one")["reason"]
    repo.git("config", "user.name", "Somebody")
    made.run()
    assert made.landed() == ["one"]
