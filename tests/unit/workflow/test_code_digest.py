"""A digest changes exactly when what a job runs does."""

import os
from pathlib import Path

import pytest
from stiltgrid.workflow.code_cache import DigestCache
from stiltgrid.workflow.code_digest import LIBRARY, code_digest
from stiltgrid.workflow.code_outline import Outlines

SCRIPT = '''"""Says what it does."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from stiltgrid.work import work

    work(snakemake.output[0])


run(main, snakemake)
'''
FILES = {
    "script.py": SCRIPT,
    "stiltgrid/__init__.py": "",
    "stiltgrid/warm.py": "def run(main, snakemake):\n    main(snakemake)\n",
    "stiltgrid/work.py": (
        "from typing import TYPE_CHECKING\n\nfrom stiltgrid import tools\nfrom stiltgrid.kinds import base as ground\n"
        "if TYPE_CHECKING:\n    from stiltgrid.heavy import Thing\n\n"
        'def work(path):\n    """Work."""\n    # a comment\n    return tools.double(ground.ONE)\n'
    ),
    "stiltgrid/tools.py": "def double(x):\n    from .deep import TWO\n    return TWO * x\n",
    "stiltgrid/deep.py": "TWO = 2\n",
    "stiltgrid/heavy.py": "class Thing:\n    pass\n",
    "stiltgrid/other.py": "X = 1\n",
    "stiltgrid/kinds/__init__.py": "KINDS = 1\n",
    "stiltgrid/kinds/base.py": "ONE = 1\n",
    "stiltgrid/kinds/span.py": "from stiltgrid.kinds.base import ONE\n",
    "stiltgrid/kinds/choice.py": "from stiltgrid.kinds.base import ONE\nOPTIONS = ONE + 1\n",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def digest(tree: Path, *modules: str, leave_out: tuple[str, ...] = ()) -> str:
    return code_digest(tree / "script.py", modules, leave_out, Outlines(tree / "stiltgrid"))


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("stiltgrid/work.py", "# a comment", "# quite another comment"),
        ("stiltgrid/work.py", '"""Work."""', '"""Work, and say so."""'),
        ("stiltgrid/work.py", "(ground.ONE)", "(\n        ground.ONE\n    )"),
        ("stiltgrid/tools.py", "    from .deep import TWO\n    ret", "      from .deep import TWO\n      ret"),
        ("script.py", "Says what it does.", "Says it otherwise."),
        ("stiltgrid/warm.py", "main(snakemake)\n", "main(snakemake)\n    return 0\n"),
        ("stiltgrid/heavy.py", "pass", "size = 1"),
        ("stiltgrid/other.py", "1", "2"),
        ("stiltgrid/kinds/span.py", "ONE", "ONE as FIRST"),
    ],
    ids=["comment", "docstring", "line breaks", "indentation", "script's docstring", "plumbing", "types only",
         "not imported", "another family"],
)  # fmt: skip
def test_same_digest(tree: Path, name: str, old: str, new: str) -> None:
    before = digest(tree, "stiltgrid.kinds.choice")
    edit(tree / name, old, new)
    assert digest(tree, "stiltgrid.kinds.choice") == before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("script.py", "output[0]", "output[1]"),
        ("stiltgrid/work.py", "ground.ONE", "ground.ONE + 1"),
        ("stiltgrid/tools.py", "TWO * x", "x * TWO"),
        ("stiltgrid/deep.py", "2", "3"),
        ("stiltgrid/deep.py", "2", "2.0"),
        ("stiltgrid/kinds/base.py", "1", "10"),
        ("stiltgrid/kinds/__init__.py", "1", "10"),
        ("stiltgrid/kinds/choice.py", "ONE + 1", "ONE + 2"),
    ],
    ids=["script", "module", "imported by a module", "imported inside a function", "a number's type", "from a package",
         "the package itself", "named family"],
)  # fmt: skip
def test_new_digest(tree: Path, name: str, old: str, new: str) -> None:
    before = digest(tree, "stiltgrid.kinds.choice")
    edit(tree / name, old, new)
    assert digest(tree, "stiltgrid.kinds.choice") != before


def test_touch_and_place_do_not_matter(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    before = digest(tree)
    os.utime(tree / "stiltgrid/work.py", (1, 1))
    assert digest(tree) == before
    other = tmp_path_factory.mktemp("stiltgrid") / "clone"
    tree.rename(other)
    assert digest(other) == before


def test_an_edit_that_keeps_size_and_restores_the_text(tree: Path) -> None:
    before = digest(tree)
    edit(tree / "stiltgrid/deep.py", "2", "3")
    assert digest(tree) != before
    edit(tree / "stiltgrid/deep.py", "3", "2")
    assert digest(tree) == before


def test_a_module_that_does_not_exist_is_named(tree: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"stiltgrid\.kinds\.nothing"):
        digest(tree, "stiltgrid.kinds.nothing")


FAMILY = """
from stiltgrid.deep import TWO
from stiltgrid.other import X


class Span:
    def encode(self):
        return helper()

    def measure(self):
        return X + unlike()


def helper():
    return TWO


def unlike():
    return 3


FAMILY = Span()
"""


@pytest.fixture
def family(tree: Path) -> Path:
    folder = tree / "stiltgrid/tasks/families"
    folder.mkdir(parents=True)
    for package in (folder.parent, folder):
        (package / "__init__.py").write_text("")
    path = folder / "span.py"
    path.write_text(FAMILY)
    return path


@pytest.mark.parametrize(
    ("name", "old", "new", "same"),
    [
        ("tasks/families/span.py", "X + unlike()", "X - unlike()", True),
        ("tasks/families/span.py", "return 3", "return 4", True),
        ("other.py", "1", "2", True),
        ("tasks/families/span.py", "return helper()", "return helper() + 1", False),
        ("tasks/families/span.py", "return TWO", "return TWO + 1", False),
        ("deep.py", "2", "3", False),
    ],
)
def test_of_a_family_only_the_methods_that_a_stage_calls_count(
    tree: Path, family: Path, name: str, old: str, new: str, same: bool
) -> None:
    before = digest(tree, "stiltgrid.tasks.families.span:FAMILY", leave_out=("measure",))
    whole = digest(tree, "stiltgrid.tasks.families.span:FAMILY")
    edit(tree / "stiltgrid" / name, old, new)
    assert (digest(tree, "stiltgrid.tasks.families.span:FAMILY", leave_out=("measure",)) == before) is same
    assert digest(tree, "stiltgrid.tasks.families.span:FAMILY") != whole


def test_a_function_that_nothing_reached_names_does_not_count(tree: Path) -> None:
    before = digest(tree)
    path = tree / "stiltgrid/tools.py"
    path.write_text(path.read_text() + "\n\ndef triple(x):\n    return 3 * x\n")
    assert digest(tree) == before
    path.write_text(path.read_text() + "\n\nLIMIT = 3\n")
    assert digest(tree) != before


def test_outlines_are_kept_on_disk(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    cache = tmp_path_factory.mktemp("cache") / "code.json"
    outlines = Outlines(tree / "stiltgrid", cache)
    before = code_digest(tree / "script.py", outlines=outlines)
    outlines.save()
    again = Outlines(tree / "stiltgrid", cache)
    assert code_digest(tree / "script.py", outlines=again) == before
    edit(tree / "stiltgrid/deep.py", "2", "30")
    assert code_digest(tree / "script.py", outlines=Outlines(tree / "stiltgrid", cache)) != before
    cache.write_text("{half")
    assert code_digest(tree / "script.py", outlines=Outlines(tree / "stiltgrid", cache)) != before


def test_digests_hold_until_some_file_changes(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("cache") / "digests.json"
    first = DigestCache(tree, file)
    assert first.digest("script", lambda: "made") == "made"
    first.save()
    assert DigestCache(tree, file).digest("script", lambda: "made again") == "made"
    assert DigestCache(tree, file).digest("another", lambda: "made again") == "made again"
    edit(tree / "stiltgrid/kinds/base.py", "1", "10")
    assert DigestCache(tree, file).digest("script", lambda: "made again") == "made again"
    edit(tree / "stiltgrid/kinds/base.py", "10", "1")
    file.write_text("{half")
    assert DigestCache(tree, file).digest("script", lambda: "made again") == "made again"


def test_every_script_of_the_workflow_has_a_digest() -> None:
    scripts = sorted((Path(__file__).parents[3] / "workflow_scripts").glob("*.py"))
    outlines = Outlines(LIBRARY)
    digests = {code_digest(script, outlines=outlines) for script in scripts}
    assert len(digests) == len(scripts) > 10
