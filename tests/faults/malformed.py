"""Malformed inputs run through the real entry: the configuration as Snakemake reads it, then the first job of its rows.

    python tests/faults/malformed.py            # how many inputs of each kind, and how each was answered
    python tests/faults/malformed.py WORD       # those whose kind or name has the word, with the sentence of each

Each input must be refused with a sentence that says what is wrong: no traceback, no hang, no silent acceptance. Inputs
are listed in the modules `malformed_*.py` beside this file, one list `CASES` a module; to add one, append to a list.
"""

import argparse
import contextlib
import importlib
import io
import json
import os
import resource
import runpy
import select
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
for _folder in (ROOT / "workflow_scripts", ROOT / "tests/support"):
    if str(_folder) not in sys.path:
        sys.path.insert(0, str(_folder))

LIMIT = 10  # CPU seconds and, on an idle machine, seconds of a case; half a second is usual
REFUSED, ACCEPTED, TRACEBACK, HANG, OTHER = "refused", "accepted", "traceback", "hang", "another sentence"
Content = str | bytes | Sequence[Mapping[str, Any]]

PRETRAIN: Mapping[str, Any] = {
    "languages": ["en"],
    "tokenizer": {"algorithm": "bpe", "vocabulary": 300, "pre_tokenizer": "metaspace"},
    "architecture": {
        "model_type": "xlm-roberta", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
        "max_position_embeddings": 130,
    },
    "sequence_length": 128, "steps": 5, "tokens_per_step": 512,
}  # fmt: skip
# A sound experiment with one task of its own; a case changes something of it.
CONFIG: Mapping[str, Any] = {
    "source": "local",
    "data_dir": "data",
    "models": {"tiny": {"pretrain": PRETRAIN}},
    "intermediates": ["none"],
    "targets": ["own"],
    "seeds": [1],
}
COMMON: Mapping[str, Any] = {
    "about": "Rows of a test",
    "citation": "unpublished",
    "languages": ["en", "de"],
    "train": ["own"],
    "max_length": 64,
    "local": {"folder": "own", "splits": {"train": "train", "dev": "dev", "test": "test"}},
}
CARDS: Mapping[str, Mapping[str, Any]] = {
    "sequence": {
        **COMMON, "family": "sequence", "metric": "accuracy", "labels": ["bad", "good"],
        "fields": {"text_a": "text", "label": "label"},
    },
    "span": {
        **COMMON, "family": "span", "metric": "f1",
        "fields": {"id": "id", "context": "context", "question": "question", "answers": "answers"},
    },
    "tagging": {
        **COMMON, "family": "tagging", "metric": "f1", "labels": ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"],
        "fields": {"tokens": "tokens", "tags": "tags"}, "options": {"scheme": "bio"},
    },
    "choice": {
        **COMMON, "family": "choice", "metric": "accuracy", "labels": ["first", "second"],
        "fields": {"context": "context", "choices": ["one", "two"], "label": "label"},
    },
}  # fmt: skip
ROWS: Mapping[str, Mapping[str, Any]] = {
    "sequence": {"text": "All of it was fine.", "label": "good"},
    "span": {"id": "1", "context": "Ada wrote it in 1843.", "question": "When?",
             "answers": {"text": ["1843"], "answer_start": [16]}},
    "tagging": {"tokens": ["Ada", "went", "home"], "tags": ["B-PER", "O", "O"]},
    "choice": {"context": "It rained.", "one": "We got wet.", "two": "We stayed dry.", "label": "first"},
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Case:
    """One malformed input and a part of the sentence that must answer it.

    `config` is a mapping or the text of a file. `files` are written below the case's folder, where a run has `data/`
    (the mirror: rows in `data/own/`, raw text in `data/text/`) and `tasks/` (its only cards); rows may be given as a
    list, and become JSON Lines. `arrange` makes what is no plain file. `jobs` are run in their order once the
    configuration is read: scripts that prepare rows, or `study_{name}`, which is asked for and not run.
    """

    kind: str
    name: str
    expected: str
    config: Mapping[str, Any] | str = field(default_factory=lambda: dict(CONFIG))
    files: Mapping[str, Content] = field(default_factory=dict)
    arrange: Callable[[Path], None] | None = None
    jobs: Sequence[str] = ()


@dataclass(frozen=True)
class Answer:
    """What came of a case: one of REFUSED, ACCEPTED, TRACEBACK, HANG, OTHER, and what was said."""

    what: str
    said: str
    seconds: float


def configured(kind: str, name: str, expected: str, *, jobs: Sequence[str] = (), **changes: Any) -> Case:
    """A case of the configuration: top-level keys replaced."""
    return Case(kind, name, expected, {**CONFIG, **changes}, jobs=jobs)


def card(kind: str, name: str, expected: str, *, family: str = "sequence", **changes: Any) -> Case:
    """A case of a card: keys of the family's own card replaced; a key whose value is None is left out."""
    content = {key: value for key, value in {**CARDS[family], **changes}.items() if value is not None}
    return Case(kind, name, expected, files={"tasks/own.yaml": yaml.safe_dump(content)})


def row(
    kind: str, name: str, expected: str, *, family: str = "sequence", card: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Case:  # fmt: skip
    """A case of a training row: the second of two rows, with fields replaced."""
    rows = [ROWS[family], {**ROWS[family], **({"id": "2"} if family == "span" else {}), **changes}]
    return rows_file(kind, name, expected, rows, family=family, card=card)


def rows_file(
    kind: str, name: str, expected: str, content: Content, *, family: str = "sequence",
    file: str = "train.en.jsonl", card: Mapping[str, Any] | None = None,
) -> Case:  # fmt: skip
    """A case of a whole file of training rows."""
    files = {"tasks/own.yaml": yaml.safe_dump({**CARDS[family], **(card or {})}), f"data/own/{file}": content}
    if file != "train.en.jsonl":
        files["data/own/train.en.jsonl"] = b""
    return Case(kind, name, expected, files=files, jobs=("prepare_train", "prepare_eval"))


# ---- running a case ----


def answer(case: Case) -> Answer:
    """Run a case in a process and a folder of its own."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="malformed-") as folder:
        receive, send = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(receive)
            _become(case, Path(folder), send)
        os.close(send)
        said, ended = _read(receive, pid)
    seconds = time.monotonic() - started
    if not ended:
        return Answer(HANG, said, seconds)
    what, _, sentence = said.partition("\n")
    return Answer(what or TRACEBACK, sentence, seconds)


def _become(case: Case, folder: Path, send: int) -> None:
    """Run the case in this forked process and write what came of it."""
    what, said = TRACEBACK, ""
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (LIMIT, LIMIT))
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
            what, said = _refusal(case, folder)
        said = said or errors.getvalue()
        if what == REFUSED and case.expected not in said:
            what = OTHER
    except BaseException as error:
        import traceback

        said = f"{type(error).__name__}: {error}\n{traceback.format_exc()}"
    finally:
        os.write(send, f"{what}\n{said}"[:20_000].encode(errors="replace"))
        os._exit(0)


def _refusal(case: Case, folder: Path) -> tuple[str, str]:
    """What came of reading the configuration and running the jobs, and the sentence where it was refused."""
    from snakemake.common.configfile import load_configfile
    from snakemake.exceptions import WorkflowError
    from stiltgrid.config.loading import load_grid
    from stiltgrid.utils.errors import StiltgridError

    lay_out(case, folder)
    os.chdir(folder)
    try:
        grid = load_grid(load_configfile("config.yaml"), folder, ["config.yaml"])
    except (StiltgridError, WorkflowError) as error:
        return REFUSED, str(error)
    for job in case.jobs:
        what, said = ask_for_study(job, grid, folder) if job.startswith("study_") else run_script(job, grid, folder)
        if what is not None:
            return what, said
    return ACCEPTED, ""


def lay_out(case: Case, folder: Path) -> None:
    """Write the files of a case: the sound ones, then its own."""
    text = case.config if isinstance(case.config, str) else yaml.safe_dump(dict(case.config), allow_unicode=True)
    sound: dict[str, Content] = {
        "config.yaml": text,
        "tasks/own.yaml": yaml.safe_dump(dict(CARDS["sequence"])),
        "data/text/en.txt": "A sentence.\n\nAnother one.\n",
    }
    own = yaml.safe_load(str(case.files.get("tasks/own.yaml", sound["tasks/own.yaml"])))
    rows = ROWS.get(own.get("family") if isinstance(own, dict) else "", ROWS["sequence"])
    for name in ("train.en", "dev.en", "dev.de", "test.en", "test.de"):
        sound[f"data/own/{name}.jsonl"] = [{**rows, **({"id": name} if "id" in rows else {})}]
    for name, content in {**sound, **case.files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            if content or name not in sound:
                path.write_bytes(content)
        elif isinstance(content, str):
            path.write_text(content, encoding="utf-8")
        else:
            path.write_text("".join(json.dumps(each) + "\n" for each in content), encoding="utf-8")
    shutil.copytree(ROOT / "schemas", folder / "schemas")
    if case.arrange:
        case.arrange(folder)


class Files(list[str]):
    """Paths by position and by name, as Snakemake gives them to a script."""

    def __init__(self, **named: str) -> None:
        super().__init__(named.values())
        self.__dict__.update(named)


def run_script(name: str, grid: Any, folder: Path) -> tuple[str | None, str]:
    """Run `workflow_scripts/{name}.py` for the task `own` with the params of its rule; (None, "") where it succeeds."""
    from stiltgrid.data.sources import open_source
    from stiltgrid.workflow.job_inputs import JobInputs
    from stiltgrid.workflow.job_params import JobParams

    params = JobParams(JobInputs(grid, open_source(grid.source, grid.data_dir, grid.world)), folder)
    card, log = grid.cards["own"], folder / f"{name}.log"
    common = {"card": params.prepared_card("own"), "origins": params.origins("own"), "source": params.source()}
    if name == "prepare_train":
        given = {**common, "languages": list(card.train_languages)}
        output = Files(train="train.parquet", dev="dev.parquet")
    else:
        given = {**common, "languages": list(grid.languages("own")), "splits": list(grid.eval_splits("own")),
                 "examples": grid.evaluation_for("own").examples}  # fmt: skip
        output = Files(rows="eval.parquet")
    job = SimpleNamespace(rule=name, params=SimpleNamespace(**given), output=output, wildcards=["own"],
                          log=[str(log)], threads=1, resources={}, input=Files())  # fmt: skip
    try:
        runpy.run_path(str(ROOT / f"workflow_scripts/{name}.py"), {"snakemake": job})
    except SystemExit:
        said = log.read_text(encoding="utf-8")
        return (TRACEBACK if "Traceback" in said else REFUSED), said
    return None, ""


def ask_for_study(name: str, grid: Any, folder: Path) -> tuple[str | None, str]:
    """Plan the cells of a study, as its first rule does; (None, "") where that succeeds."""
    from stiltgrid.utils.errors import StiltgridError
    from stiltgrid.workflow.study_jobs import StudyJobs

    try:
        StudyJobs(grid, folder).view(name.removeprefix("study_"))
    except StiltgridError as error:
        return REFUSED, str(error)
    return None, ""


def _read(receive: int, pid: int) -> tuple[str, bool]:
    """What a case writes, and whether it came to an end; one that does not is killed."""
    parts = []
    ended = True
    with open(receive, "rb", buffering=0) as pipe:  # noqa: PTH123  a descriptor, no path
        while True:
            # A busy machine may take long: what hangs without using the processor is ended after three times the limit.
            if not select.select([pipe], [], [], 3 * LIMIT)[0]:
                ended = False
                os.kill(pid, signal.SIGKILL)
                break
            part = pipe.read(1 << 16)
            if not part:
                break
            parts.append(part)
    _, status = os.waitpid(pid, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL)
    return b"".join(parts).decode(errors="replace"), ended and not killed


# ---- all cases ----


def all_cases() -> list[Case]:
    """Every case of the modules beside this one, in the order of their names."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("malformed_*.py"))
    return [case for name in names for case in importlib.import_module(name).CASES]


def preload() -> None:
    """Import what cases use, once for all of them."""
    for name in ("snakemake.common.configfile", "stiltgrid.config.loading", "stiltgrid.workflow.job_params",
                 "stiltgrid.preparation.prepare", "stiltgrid.workflow.job_runner"):  # fmt: skip
        importlib.import_module(name)


def lines(answers: Mapping[Case, Answer]) -> Iterator[str]:
    """A table: inputs of each kind, by what came of them."""
    columns = (REFUSED, OTHER, ACCEPTED, TRACEBACK, HANG)
    kinds = list(dict.fromkeys(case.kind for case in answers))
    yield "| kind | " + " | ".join(("inputs", *columns)) + " |"
    for kind in [*kinds, "all"]:
        found = Counter(each.what for case, each in answers.items() if kind in (case.kind, "all"))
        yield (
            f"| {kind} | " + " | ".join(str(number) for number in (found.total(), *(found[c] for c in columns))) + " |"
        )


def main() -> int:
    """Run from the command line; 1 where an input is not refused with the sentence that is expected."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("word", nargs="?", default="")
    word = parser.parse_args().word
    sys.path.insert(0, str(Path(__file__).parent))
    preload()
    answers = {case: answer(case) for case in all_cases() if word in case.kind or word in case.name}
    for case, found in answers.items():
        if word or found.what != REFUSED:
            sys.stdout.write(
                f"{found.what}: {case.kind}: {case.name} ({found.seconds:.1f} s)\n{found.said.strip()}\n\n"
            )
    sys.stdout.write("\n".join(lines(answers)) + "\n")
    return int(any(found.what != REFUSED for found in answers.values()))


if __name__ == "__main__":
    sys.modules["malformed"] = sys.modules["__main__"]
    sys.exit(main())
