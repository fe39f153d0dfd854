"""The pages: all reachable from the README, no dead link, complete where they list what the repository has."""

import re
import shlex
from pathlib import Path

import pytest
import yaml
from documents import LANGUAGES, PAGES, ROOT, anchors, blocks, links, page_text
from test_package_order import ORDER


def relative_links(page: str) -> list[tuple[str, str]]:
    """(path in the repository, anchor) of each link that stays inside the repository."""
    found = []
    for link in links(page):
        if not re.match(r"[a-z]+:", link):
            target, _, anchor = link.partition("#")
            path = (ROOT / page).parent / target if target else ROOT / page
            found.append((path.resolve().relative_to(ROOT).as_posix(), anchor))
    return found


def listed(page: str, pattern: str) -> set[str]:
    """What a pattern finds in the first cells of a page's tables."""
    cells = [line.split("|")[1] for line in page_text(page).splitlines() if line.startswith("| ")]
    return {name for cell in cells for name in re.findall(pattern, cell)}


def test_the_readme_has_at_most_200_lines() -> None:
    assert len(page_text("README.md").splitlines()) <= 200


def test_every_page_is_reachable_from_the_readme() -> None:
    reached, waiting = set[str](), ["README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        waiting += [target for target, _ in relative_links(page) if target in PAGES and target not in reached]
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").iterdir()}
    linked = {target for page in reached for target, _ in relative_links(page)}
    assert reached == set(PAGES)
    assert files | {"LICENSE", "NOTICE", "CITATION.cff"} <= linked | reached


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target, anchor in relative_links(page):
        assert (ROOT / target).exists(), f"{page}: {target}"
        assert not anchor or anchor in anchors(target), f"{page}: {target}#{anchor}"


@pytest.mark.parametrize("page", PAGES)
def test_blocks_say_their_language(page: str) -> None:
    for block in blocks(page):
        assert block.language in LANGUAGES, f"{page}:{block.line}: '{block.language}', expected one of {LANGUAGES}"


@pytest.mark.parametrize("page", [*PAGES, "NOTICE"])
def test_files_that_a_page_names_exist(page: str) -> None:
    folders = r"(?:tests|rules|schemas|presets|tasks|profiles|benchmarks|workflow_scripts|docs|envs)/"
    for name in re.findall(rf"(?<![\w/.]){folders}[\w./-]*[\w/](?![\w./*<{{-])", page_text(page)):
        known = (ROOT / name, ROOT / "workflow_scripts/stiltgrid" / name)  # `tasks/` is a folder of both
        documented = any(block.file == name for other in PAGES for block in blocks(other))
        assert documented or any(path.exists() for path in known), f"{page}: {name}"


def test_the_configuration_page_has_every_key() -> None:
    schema = yaml.safe_load((ROOT / "schemas/config.schema.yaml").read_text(encoding="utf-8"))
    keys = schema["properties"].keys() - {"standalone"}
    assert listed("docs/configuration.md", r"^ `(\w+)` $") == keys
    assert "standalone: true" in page_text("docs/configuration.md")


def test_the_configuration_page_has_every_preset() -> None:
    presets = {f"presets/{path.name}" for path in (ROOT / "presets").glob("*.yaml")}
    assert listed("docs/configuration.md", r"presets/\w+\.yaml") == presets


def test_the_tasks_page_has_every_task_in_its_family() -> None:
    families = {
        path.stem: yaml.safe_load(path.read_text("utf-8"))["family"] for path in (ROOT / "tasks").glob("*.yaml")
    }
    found = {}
    for line in page_text("docs/tasks.md").splitlines():
        cells = line.split("|")
        if len(cells) == 5 and "`" in cells[1]:
            found |= {name: cells[2].strip() for name in re.findall(r"`(\w+)`", cells[1])}
    assert {name: found.get(name) for name in families} == families
    assert {name for name in found if name not in families} == set(families.values())


def test_the_card_that_the_tasks_page_shows_is_the_one_of_the_catalogue() -> None:
    (block,) = (block for block in blocks("docs/tasks.md") if block.file == "tasks/xcopa.yaml")
    real = yaml.safe_load((ROOT / "tasks/xcopa.yaml").read_text(encoding="utf-8"))
    shown = yaml.safe_load(block.text)
    assert shown == {key: real[key] for key in shown}


def test_the_studies_page_has_every_study() -> None:
    schema = yaml.safe_load((ROOT / "schemas/studies.schema.yaml").read_text(encoding="utf-8"))
    assert listed("docs/studies.md", r"^ `(\w+)` $") == schema["properties"].keys()


def test_the_results_page_has_every_table_and_plot() -> None:
    rules = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "rules").glob("*.smk"))
    made = set(re.findall(r'"results/(?:tables|plots)/([\w/{}]+)\.(?:tsv|svg|parquet|txt)"', rules))
    shown = page_text("docs/results.md")
    assert len(made) > 10 and {name for name in made if name not in shown} == set()


def test_the_dependencies_page_has_every_requirement() -> None:
    chosen = (ROOT / "requirements.txt").read_text(encoding="utf-8").partition("\n\n")[0]
    wanted = set(re.findall(r"^([\w-]+)==", chosen, re.MULTILINE))
    assert listed("docs/dependencies.md", r"\w[\w-]*") - {"package"} == wanted


def test_the_repository_map_has_every_package_in_order() -> None:
    table = page_text("CONTRIBUTING.md").partition("The library's packages")[2].partition("## ")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == ORDER


def test_the_notice_names_every_data_file_of_the_package() -> None:
    package = ROOT / "workflow_scripts/stiltgrid"
    data = {path.name for path in package.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert len(data) >= 4 and {name for name in data if name not in page_text("NOTICE")} == set()


def test_the_pre_commit_hooks_are_what_make_lint_runs() -> None:
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert recipe is not None
    lint = [shlex.split(line.replace("$(BIN)", ".venv/bin")) for line in recipe[1].splitlines()]
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    assert [shlex.split(hook["entry"]) for hook in hooks] == lint
    assert all(hook["pass_filenames"] is False for hook in hooks)


def test_the_github_workflow_runs_what_ci_runs() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    steps = workflow["jobs"]["test"]["steps"]
    assert [step["run"] for step in steps if "run" in step] == ["bash .ci/run"]
    assert Path(ROOT, ".ci/run").is_file()


def test_issue_templates_are_forms_that_github_takes() -> None:
    for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"):
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert {"name", "description", "body"} <= form.keys(), path
        ids = [field["id"] for field in form["body"]]
        assert len(ids) == len(set(ids)) and all(field["attributes"]["label"] for field in form["body"])
        assert {field["type"] for field in form["body"]} <= {"textarea", "input", "dropdown", "checkboxes"}
