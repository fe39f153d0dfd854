"""The report of `estimate`: jobs, tokens and hours by model and stage, disk, and what had to be assumed."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stiltgrid.grid import paths
from stiltgrid.grid.grid import Grid
from stiltgrid.preparation.data_sizes import DataSizes
from stiltgrid.workflow import estimate_disk
from stiltgrid.workflow.dry_run import PlannedJob
from stiltgrid.workflow.estimate import Line, lines
from stiltgrid.workflow.so_far import finished_cells

HOUR = 3600


@dataclass(frozen=True)
class Done:
    """Cells whose scores are there, so that nothing of them is planned, of all cells of the grid."""

    finished: int
    cells: int


def finished(grid: Grid, jobs: Sequence[PlannedJob]) -> Done:
    """The cells of the results folder that no planned job computes again."""
    return Done(len(finished_cells(grid, jobs)), len(paths.cells(grid)))


def report(
    grid: Grid, jobs: Sequence[PlannedJob], sizes: DataSizes, results: Path, at_once: int, device: str, done: Done
) -> str:
    """The report of what a run would do now, `at_once` jobs at a time on a kind of device."""
    found = lines(grid, jobs, sizes, results, device)
    parts = [_jobs(jobs, done), _tokens_and_hours(found)]
    parts.append("\n".join(_disk(grid, results, at_once)))
    parts.append("\n".join(_certainty(sizes)))
    assumed = [*sizes.assumed(), *(line.speed.assumed for line in found if line.speed and line.speed.assumed)]
    if assumed:
        title = "assumed, since nothing of this grid was measured on this machine yet"
        parts.append("\n".join([title, *(f"  {sentence}" for sentence in dict.fromkeys(assumed))]))
    parts += ["\n".join(block) for block in (list(_left_out(sizes, found)), list(_no_speed(found, device))) if block]
    return "\n\n".join(parts) + "\n"


def _jobs(jobs: Sequence[PlannedJob], done: Done) -> str:
    counts = Counter(job.rule for job in jobs)
    rows = [(name, f"{count:,}") for name, count in counts.items()]
    left = f"{done.finished:,} of {done.cells:,} cells are finished and left out; so is what only studies ask for"
    return f"{_table('jobs that a run would take now', [*rows, ('together', f'{len(jobs):,}')])}\n{left}"


def _tokens_and_hours(found: Sequence[Line]) -> str:
    rows = [
        (
            f"{line.model}: {line.stage}",
            f"{line.jobs:,} jobs",
            f"{_short(line.work.trained + line.work.read)} tokens",
            f"{_short(line.speed.tokens)} a second, {line.speed.origin}" if line.speed else "speed unknown",
            f"{line.seconds / HOUR:.2f} h" if line.seconds is not None else "",
        )
        for line in found
    ]  # fmt: skip
    seconds = [line.seconds for line in found if line.seconds is not None]
    hours = f"{sum(seconds) / HOUR:.2f}" if seconds or not found else "unknown"
    tokens = sum(line.work.trained + line.work.read for line in found)
    less = "" if len(seconds) in (0, len(found)) else ", without what has no known speed"
    less += ", without data of unknown size" if any(line.work.unknown for line in found) else ""
    table = _table("tokens and hours, one job after the other on one GPU (or on the cores that jobs had)", rows)
    return f"{table}\n\ntogether {_short(tokens)} tokens, {hours} hours{less}; early stopping makes it less"


def _disk(grid: Grid, results: Path, at_once: int) -> Iterable[str]:
    counted = estimate_disk.counts(grid, at_once)
    yield f"disk at most, keep_tuned: {str(grid.keep_tuned).lower()}, {at_once} at once (more: snakemake estimate_disk)"
    for name in grid.own_models:
        model = grid.models[name]
        file = results / "models" / name / "backbone/model.safetensors"
        weights = estimate_disk.model_parameters(model.hub, model.pretrain, file)
        if weights is None:
            yield f"  {name}: its size is known once it is fetched"
            continue
        stored = estimate_disk.weight_bytes(grid)
        trained = estimate_disk.adapters(grid, model.hub, model.pretrain, file.parent)
        items = estimate_disk.peak(weights, counted, grid.keep_tuned, stored, trained)
        yield f"  {name}: {estimate_disk.size(sum(item.total for item in items))}"


def _certainty(sizes: DataSizes) -> Iterable[str]:
    """Where the sizes of the data come from."""
    meanings = {
        "encoded": "counted in encoded files",
        "rows": "from prepared rows",
        "source": "from the source's rows",
        "given": "given by the configuration",
        "card": "from what the cards say of the published data",
    }
    by_kind = Counter(size.known for size in sizes.looked_up() if size)
    yield "the data's tokens: " + "; ".join(f"{by_kind[kind]} {text}" for kind, text in meanings.items())


def _left_out(sizes: DataSizes, found: Iterable[Line]) -> Iterable[str]:
    """What has no known size, by name."""
    unknown = sorted({name for line in found for name in line.work.unknown})
    parts = {key: codes for key, codes in sizes.left_out.items() if key[0] not in unknown}
    if not unknown and not parts:
        return
    yield "unknown, and left out of the total"
    if unknown:
        yield f"  {', '.join(unknown)}"
    yield from (f"  {task}, {split} rows of {', '.join(codes)}" for (task, split), codes in parts.items())
    yield (
        "  Prepare the data (snakemake --until encode_train encode_eval), or say "
        "`tasks: {name: {sizes: {train: rows, dev: rows, test: rows, tokens: mean, source: text}}}`"
    )


def _no_speed(found: Iterable[Line], device: str) -> Iterable[str]:
    """Which speeds are missing, and what to give."""
    stages: dict[str, list[str]] = {}
    for line in found:
        if line.speed is None:
            stages.setdefault(line.model, []).append(line.stage)
    for model, names in stages.items():
        yield (
            f"no speed is known for {model} on '{device}' ({', '.join(names)}): run one job, or give tokens a second, "
            f"`estimate: {{speeds: {{{model}: {{KIND: {{training: number, scoring: number, measured: text}}}}}}}}`, "
            "KIND being cpu or a part of the GPU's name"
        )


def _table(title: str, rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))] if rows else []
    return "\n".join(
        [title, *("  " + "  ".join(f.ljust(w) for f, w in zip(row, widths, strict=True)).rstrip() for row in rows)]
    )


def _short(number: float) -> str:
    for unit, factor in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= factor:
            return f"{number / factor:.2f} {unit}"
    return f"{number:.0f}"
