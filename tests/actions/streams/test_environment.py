"""What a session finds in its worktree: files, links, set-up, variables, and a page to begin with."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from conftest import Repo
from support.scripted import Yard, yard

from loki_hooks.system.worktrees.clone import can_share, clone_folder

DUMP = "env | grep -E '^(LOKI_|PORT|DB=|UV_|PATH=|VIRTUAL_ENV)' | sort > '{outside}/env-'\"$1\"\n"


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_TRUST", "1")


def configured(repo: Repo, environment: str, **files: str) -> Yard:
    """Set a repository up whose [environment] says this."""
    made = yard(repo)
    path = repo.path / "loki-hooks.toml"
    text = path.read_text().replace("[environment]\nsetup = false\n", f"[environment]\n{environment}\n")
    repo.commit("Configure the environment", {"loki-hooks.toml": text, **files})
    return made


def dumped(made: Yard, name: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in (made.outside / f"env-{name}").read_text().splitlines())


def test_links_are_shared_and_known_to_clean_up(repo: Repo) -> None:
    made = configured(
        repo, 'setup = false\nlink = ["data", "models/*.bin", "app.py", "nothing"]', **{".gitignore": "data/\n"}
    )
    repo.write("data/big.csv", "1,2\n")
    repo.write("models/a.bin", "weights")
    made.agent(
        "x",
        "cat data/big.csv models/a.bin > seen.txt; git add seen.txt; git commit -qm Seen; echo more >> data/big.csv\n",
    )
    made.spawn("x")
    made.run()
    assert made.landed() == ["x"], made.record("x")
    assert repo.git("show", "main:seen.txt") == "1,2\nweights"
    assert (repo.path / "data" / "big.csv").read_text() == "1,2\nmore\n", "a link is shared"
    assert not made.tree_of("x").exists(), "a link that we made is nobody's work"
    assert (repo.path / "models" / "a.bin").read_text() == "weights", "what it leads to stays"
    assert repo.git("status", "--porcelain") == ""


def test_a_link_that_somebody_changed_is_theirs(repo: Repo) -> None:
    made = configured(repo, 'setup = false\nlink = ["data"]', **{".gitignore": "data\n"})
    repo.write("data/big.csv", "1,2\n")
    made.agent("x", "rm data; mkdir data; echo mine > data/own; echo x > x.txt; git add x.txt; git commit -qm X\n")
    made.spawn("x")
    made.run()
    assert made.landed() == ["x"]
    assert (made.tree_of("x") / "data" / "own").read_text() == "mine\n"


@pytest.mark.parametrize("pattern", ["/etc", "../outside", "a/../../b"])
def test_a_pattern_that_leads_out_links_nothing(repo: Repo, pattern: str) -> None:
    made = configured(repo, f'setup = false\nlink = ["{pattern}"]')
    made.spawn("x")
    made.run()
    assert made.status("x") == "failed"
    assert "leads out" in made.record("x")["reason"]


def test_variables_reach_set_up_agent_and_gate(repo: Repo) -> None:
    dump = "env | grep -E '^(LOKI_|PORT|DB=)' | sort > \"$OUT/{}-$LOKI_STREAM\""
    made = configured(
        repo, "ports = 2\nset = {DB = '{project}_{stream}_dev'}\nsetup = '''" + dump.format("setup") + "'''"
    )
    (made.outside / "gate.sh").write_text((made.outside / "gate.sh").read_text() + dump.format("gate") + "\n")
    made.agent("x", dump.format("agent") + "; echo x > x.txt; git add x.txt; git commit -qm X\n")
    made.agent("y", dump.format("agent") + "; echo y > y.txt; git add y.txt; git commit -qm Y\n")
    out = str(made.outside)
    assert repo.loki("spawn", "x", "y", "--task", "Work", env={"OUT": out}).code == 0
    assert repo.loki("run", env={"OUT": out}).code == 0
    assert sorted(made.landed()) == ["x", "y"]

    def seen(what: str, stream: str) -> dict[str, str]:
        text = (made.outside / f"{what}-{stream}").read_text()
        return dict(line.split("=", 1) for line in text.splitlines() if not line.startswith("LOKI_TRUST"))

    agent, setup, gate = seen("agent", "feature-x"), seen("setup", "feature-x"), seen("gate", "testing")
    assert agent["LOKI_STREAM"] == "feature-x"
    assert agent["LOKI_BRANCH"] == "feature/x"
    assert agent["LOKI_WORKTREE"] == str(made.tree_of("x"))
    assert agent["LOKI_MAIN"] == gate["LOKI_MAIN"] == str(repo.path)
    assert agent["DB"] == "project_feature-x_dev"
    assert gate["DB"] == "project_testing_dev"
    assert {k: setup[k] for k in ("DB", "PORT", "PORT_1")} == {k: agent[k] for k in ("DB", "PORT", "PORT_1")}
    assert agent["PORT"] != agent["PORT_1"]
    assert gate["PORT"].isdigit()


def test_set_up_runs_before_the_agent_and_its_failure_fails_that_stream_alone(repo: Repo) -> None:
    made = configured(
        repo,
        "setup = '[ \"$LOKI_STREAM\" != feature-bad ] || { echo broken; exit 3; }; echo ok > made-by-setup'",
        **{".gitignore": "made-by-setup\n"},
    )
    made.agent("good", "cat made-by-setup > x.txt; git add x.txt; git commit -qm X\n")
    made.spawn("bad", "good")
    made.run()
    assert made.landed() == ["good"]
    assert made.status("bad") == "failed"
    assert "exit status 3" in made.record("bad")["reason"]
    assert "broken" in (made.loki_dir / "logs" / "setup-feature-bad.log").read_text()


def test_a_monorepos_packages_are_set_up_each_in_its_folder_and_get_their_environment_files(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tool in ("npm", "uv"):
        ran = f'echo "{tool} $1 $UV_PROJECT_ENVIRONMENT in $PWD" >> {tmp_path}/ran'
        fake(tmp_path / "bin", tool, f"{ran}\nmkdir node_modules\ntouch node_modules/x")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    made = yard(repo)
    (repo.path / "loki-hooks.toml").write_text((repo.path / "loki-hooks.toml").read_text().replace("setup = false", ""))
    files = (
        "apps/web/package.json",
        "apps/web/package-lock.json",
        "services/api/uv.lock",
        "tests/fixtures/x/package-lock.json",
    )
    repo.commit("Packages", dict.fromkeys(files, "{}"))
    repo.write("apps/web/.env.local", "A=1\n")
    made.agent("x", "cat apps/web/.env.local; echo x > x.txt\n")
    made.spawn("x")
    made.run()
    tree = made.tree_of("x")
    lines = [line for line in (tmp_path / "ran").read_text().splitlines() if str(tree) in line]
    assert lines == [f"npm ci  in {tree}/apps/web", f"uv sync {tree}/services/api/.venv in {tree}/services/api"]
    assert "x.txt" in made.on_main()
    assert not any("node_modules" in name or ".env" in name for name in made.on_main())


def test_worktrees_inside_the_main_one_are_kept_out_of_its_git(repo: Repo) -> None:
    made = yard(repo, more='[worktrees]\npath = ".worktrees/{stream}"\n')
    made.spawn("a", "b", "--no-launch")
    assert (repo.path / ".worktrees" / "feature-b" / "app.py").exists()
    assert repo.git("status", "--porcelain", "--untracked-files=all") == ""
    text = (repo.path / ".git" / "info" / "exclude").read_text()
    assert text.count("/.worktrees/\n") == 1
    for name in ("a", "b"):
        assert repo.loki("finish", name, "--abandon").code == 0
    assert repo.loki("uninstall").code == 0
    assert ".worktrees" not in (repo.path / ".git" / "info" / "exclude").read_text()


def test_what_set_up_leaves_is_nobodys_work_until_somebody_writes_to_it(repo: Repo) -> None:
    made = yard(repo)
    text = (repo.path / "loki-hooks.toml").read_text()
    command = "mkdir -p src/x.egg-info && echo made > src/x.egg-info/PKG-INFO && echo made > lock.json"
    repo.commit("Set up", {"loki-hooks.toml": text.replace("setup = false", f'setup = "{command}"')})
    made.agent("x", "echo x > x.txt\n")
    made.agent("y", "echo y > y.txt; echo more >> lock.json\n")
    made.agent("z", "true\n")
    made.spawn("x", "y", "z")
    made.run()
    made.quiet()
    assert "x.txt" in made.on_main()
    assert not any("egg-info" in name for name in made.on_main())
    assert not made.tree_of("x").exists()
    assert repo.git("show", "main:lock.json") == "made\nmore", "y wrote to it"
    assert repo.git("rev-list", "--count", "feature/z", "^main") == "0"


def test_a_missing_tool_is_named(repo: Repo) -> None:
    made = configured(repo, 'setup = "auto"', **{"uv.lock": "", "pyproject.toml": "[project]\nname='x'\n"})
    path = os.pathsep.join(p for p in os.environ["PATH"].split(os.pathsep) if not Path(p, "uv").exists())
    repo.loki("spawn", "x", "--task", "Work", env={"PATH": path})
    repo.loki("run", env={"PATH": path})
    assert made.status("x") == "failed"
    assert "needs uv" in made.record("x")["reason"]


def fake(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_several_ecosystems_each_in_its_place(repo: Repo, tmp_path: Path) -> None:
    """The tools are stand-ins (none is installed here): what counts is how they are called, and what becomes of it."""
    made = configured(
        repo, 'setup = "auto"', **{"uv.lock": "", "package-lock.json": "{}", "Gemfile.lock": "", "pom.xml": ""}
    )
    bin_ = tmp_path / "bin"
    fake(bin_, "uv", 'mkdir -p "$UV_PROJECT_ENVIRONMENT/bin"; echo "uv $* $CI" >> ran')
    fake(bin_, "npm", 'mkdir -p node_modules/.bin; echo "npm $* HUSKY=$HUSKY" >> ran')
    fake(bin_, "bundle", 'mkdir -p "$BUNDLE_PATH"; touch "$BUNDLE_PATH/gem"; echo "bundle $* $BUNDLE_FROZEN" >> ran')
    fake(bin_, "mvn", "exit 1")
    made.agent("x", "cat ran; env; rm ran; echo x > x.txt; git add x.txt; git commit -qm X\n")
    env = {
        "PATH": f"{bin_}{os.pathsep}{os.environ['PATH']}",
        "UV_PROJECT_ENVIRONMENT": "/elsewhere",
        "VIRTUAL_ENV": "/other",
    }
    repo.loki("spawn", "x", "--task", "Work", env=env)
    repo.loki("run", env=env)
    log = made.loki_dir / "logs" / "session-feature-x.log"
    archived = sorted((made.loki_dir / "archive").glob("feature-x-*/session-feature-x.log"))
    text = (archived[0] if archived else log).read_text()
    assert "uv sync --frozen 1" in text
    assert "npm ci --no-audit --no-fund HUSKY=0" in text
    assert "bundle install true" in text
    assert f"VIRTUAL_ENV={made.tree_of('x')}/.venv" in text
    assert "UV_PROJECT_ENVIRONMENT=/elsewhere" not in text
    assert "BUNDLE_FROZEN" not in text.partition("bundle install true")[2], "an agent may add a gem"
    assert made.landed() == ["x"], made.record("x")
    assert repo.git("ls-files").split().count("vendor/bundle/gem") == 0


@pytest.mark.slow
@pytest.mark.skipif(not Path("/usr/bin/npm").exists(), reason="npm is not here")
def test_a_real_frozen_install(repo: Repo) -> None:
    lock = (
        '{"name": "p", "version": "1.0.0", "lockfileVersion": 3, "requires": true,'
        ' "packages": {"": {"name": "p", "version": "1.0.0", "dependencies": {"near": "file:near"}},'
        ' "near": {"version": "1.0.0"}, "node_modules/near": {"resolved": "near", "link": true}}}'
    )
    made = configured(
        repo,
        'setup = "auto"',
        **{
            "package.json": '{"name": "p", "version": "1.0.0", "dependencies": {"near": "file:near"}}',
            "package-lock.json": lock,
            "near/package.json": '{"name": "near", "version": "1.0.0"}',
            "near/index.js": "module.exports = 42\n",
            ".gitignore": "node_modules/\n",
        },
    )
    made.agent("x", "node -p \"require('near')\" > x.txt; git add x.txt; git commit -qm X\n")
    made.spawn("x")
    made.run()
    assert made.landed() == ["x"], made.record("x")
    assert repo.git("show", "main:x.txt") == "42"


# The page to begin with ---------------------------------------------------------------------------------


def test_the_page_names_goals_base_siblings_and_what_they_touch(repo: Repo) -> None:
    made = yard(repo)
    made.spawn("one", "--no-launch", "--task", "Do the first thing\n\nCarefully.")
    repo.commit("Work", {"src/a.py": "a", "src/b.py": "b"}, cwd=made.tree_of("one"))
    made.spawn("two", "--no-launch")
    first = (made.tree_of("one") / ".loki" / "CONTINUITY.md").read_text()
    second = (made.tree_of("two") / ".loki" / "CONTINUITY.md").read_text()
    assert "Do the first thing\n\nCarefully." in first
    assert "Others at work" not in first
    base = repo.git("rev-parse", "main")[:12]
    assert f"`feature/one`, from `{base}` of `main`" in first
    assert f"- Last sync with `main`: `{base}` at 20" in first
    assert "`feature-one` on `feature/one`: Do the first thing; touches `src/a.py`, `src/b.py`" in second


def test_the_last_sync_is_kept_up_and_what_the_session_wrote_stays(repo: Repo) -> None:
    made = yard(repo, cap=1)
    made.agent("one", "echo 1 > one.txt; git add one.txt; git commit -qm One\n")
    made.agent(
        "two",
        "cp .loki/CONTINUITY.md \"$LOKI_MAIN/../page\"; echo '- done' >> .loki/CONTINUITY.md\n"
        "echo 2 > two.txt; git add two.txt; git commit -qm Two\n",
    )
    made.spawn("one")
    made.spawn("two", "--after", "one")
    made.run()
    assert made.landed() == ["one", "two"]
    page = (repo.path.parent / "page").read_text()
    landed = repo.git("log", "--first-parent", "--format=%H", "main").split()[1]
    assert f"Last sync with `main`: `{landed[:12]}`" in page
    (kept,) = (made.loki_dir / "archive").glob("feature-two-*/CONTINUITY.md")
    assert kept.read_text().endswith("- done\n"), "it goes into the archive"


# Clones ---------------------------------------------------------------------------------------------


def test_a_folder_is_cloned_whole_or_not_at_all(tmp_path: Path) -> None:
    source = tmp_path / "target"
    (source / "deep" / "er").mkdir(parents=True)
    (source / "deep" / "er" / "lib.o").write_bytes(os.urandom(100_000))
    (source / "empty").touch()
    (source / "prog").write_text("#!/bin/sh\n")
    (source / "prog").chmod(0o755)
    (source / "link").symlink_to("deep/er/lib.o")
    os.mkfifo(source / "fifo")
    os.utime(source / "prog", ns=(1, 1_000_000_007))
    able = can_share(source, tmp_path)
    assert clone_folder(source, tmp_path / "copy", tmp_path / ".holding") == able
    assert not (tmp_path / ".holding").exists()
    if not able:
        assert not (tmp_path / "copy").exists()
        return
    assert (tmp_path / "copy" / "deep" / "er" / "lib.o").read_bytes() == (source / "deep" / "er" / "lib.o").read_bytes()
    assert (tmp_path / "copy" / "prog").stat().st_mtime_ns == 1_000_000_007
    assert os.access(tmp_path / "copy" / "prog", os.X_OK)
    assert (tmp_path / "copy" / "link").readlink() == Path("deep/er/lib.o")
    assert not os.path.lexists(tmp_path / "copy" / "fifo")
    assert not clone_folder(source, tmp_path / "copy", tmp_path / ".holding"), "never over what is there"


def test_clones_where_blocks_can_be_shared(tmp_path: Path) -> None:
    """On a file system of our own, where we may make one."""
    image, mounted = tmp_path / "image", tmp_path / "mounted"
    mounted.mkdir()
    with image.open("wb") as file:
        file.truncate(400 << 20)
    for make in (["mkfs.btrfs", "-q"], ["mkfs.xfs", "-q", "-m", "reflink=1"]):
        try:
            if subprocess.run([*make, str(image)], capture_output=True).returncode == 0:
                break
        except FileNotFoundError:
            continue
    else:
        pytest.skip("no program here makes a file system that shares blocks")
    if subprocess.run(["mount", "-o", "loop", str(image), str(mounted)], capture_output=True).returncode != 0:
        pytest.skip("no right to mount")
    try:
        source = mounted / "target"
        source.mkdir()
        (source / "lib.o").write_bytes(os.urandom(1_000_000))
        assert clone_folder(source, mounted / "copy", mounted / ".holding")
        assert (mounted / "copy" / "lib.o").read_bytes() == (source / "lib.o").read_bytes()
    finally:
        subprocess.run(["umount", str(mounted)], check=True)
