"""Paths that are not what they should be: folders, pipes, dangling links, home folders of unknown users."""

import os
from collections.abc import Callable
from pathlib import Path

from malformed import CONFIG, Case

PATHS = "paths"
ROWS_FILE, CARD_FILE = "data/own/train.en.jsonl", "tasks/own.yaml"


def replace_by_folder(name: str) -> Callable[[Path], None]:
    def arrange(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).mkdir()

    return arrange


def replace_by_pipe(name: str) -> Callable[[Path], None]:
    def arrange(folder: Path) -> None:
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return arrange


def replace_by_dangling_link(name: str) -> Callable[[Path], None]:
    def arrange(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).symlink_to("nothing")

    return arrange


BOTH = ("prepare_train", "prepare_eval")
CASES = [
    Case(
        PATHS,
        "the home of a user who does not exist",
        "~nosuchuser",
        config={**CONFIG, "data_dir": "~nosuchuser/x"},
    ),
    Case(
        PATHS,
        "a model in the home of a user who does not exist",
        "~nosuchuser",
        config={**CONFIG, "models": {"mine": {"path": "~nosuchuser/x"}}},
    ),
    Case(PATHS, "a file where the mirror is meant", "config.yaml", config={**CONFIG, "data_dir": "config.yaml"}),
    Case(PATHS, "a mirror that is a number", "data_dir", config={**CONFIG, "data_dir": 5}),
    Case(PATHS, "a mirror whose name has a zero byte", "data_dir", config={**CONFIG, "data_dir": "da\0ta"}),
    Case(PATHS, "a mirror whose name is empty", "data_dir", config={**CONFIG, "data_dir": ""}),
    Case(
        PATHS,
        "rows that are a folder",
        "expected a file, found a folder",
        arrange=replace_by_folder(ROWS_FILE),
        jobs=BOTH,
    ),
    Case(PATHS, "rows that are a pipe", "named pipe", arrange=replace_by_pipe(ROWS_FILE), jobs=BOTH),
    Case(PATHS, "rows that are a link to nothing", "link", arrange=replace_by_dangling_link(ROWS_FILE), jobs=BOTH),
    Case(PATHS, "a card that is a folder", "own.yaml", arrange=replace_by_folder(CARD_FILE)),
    Case(PATHS, "a card that is a pipe", "own.yaml", arrange=replace_by_pipe(CARD_FILE)),
    Case(PATHS, "a card that is a link to nothing", "own.yaml", arrange=replace_by_dangling_link(CARD_FILE)),
    Case(PATHS, "no card", "tasks", arrange=lambda folder: (folder / CARD_FILE).unlink()),
    Case(
        PATHS,
        "raw text that is a folder",
        "found a folder 'text/en.txt'",
        arrange=replace_by_folder("data/text/en.txt"),
    ),
]
