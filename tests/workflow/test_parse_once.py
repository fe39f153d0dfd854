"""A parse of the workflow reads every card and every schema once, whatever the grid asks of them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from repository import ROOT

PARSE = """
import collections, json, os, sys

opened = collections.Counter()

def note(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, os.PathLike)):
        opened[os.path.realpath(arguments[0])] += 1

sys.addaudithook(note)
from snakemake.cli import main

try:
    main({arguments!r})
except SystemExit as end:
    assert not end.code, end.code
sys.stderr.write("OPENED " + json.dumps(opened))
"""


def opened_files(folder: Path) -> dict[str, int]:
    """How often each file was opened while the default grid's workflow was parsed."""
    given = ["--snakefile", str(ROOT / "Snakefile"), "--configfile", str(ROOT / "config.yaml")]
    arguments = [*given, "--directory", str(folder), "--list-rules"]
    command = [sys.executable, "-c", PARSE.format(arguments=arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    opened: dict[str, int] = json.loads(done.stderr.rpartition("OPENED ")[2])
    return opened


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """`opened_files` in a folder of its own, as in a first run: no digests are kept yet."""
    return opened_files(tmp_path_factory.mktemp("parse"))


@pytest.mark.parametrize("kind", ["tasks", "schemas"])
def test_each_is_read_once(opened: dict[str, int], kind: str) -> None:
    files = sorted((ROOT / kind).glob("*.yaml"))
    assert len(files) > 2
    assert {path.name: opened.get(str(path.resolve()), 0) for path in files} == {path.name: 1 for path in files}
