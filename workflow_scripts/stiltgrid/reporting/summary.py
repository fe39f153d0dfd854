"""The summary that a run prints: the best row of each target, remarks on the numbers, paths of the results."""

import os
from collections.abc import Iterator, Mapping

from stiltgrid.analysis.best_rows import Best, BestRow, read_best_rows
from stiltgrid.analysis.shown import points
from stiltgrid.analysis.statistics import Estimate
from stiltgrid.analysis.tables import Cell, Transfer, read_transfer
from stiltgrid.grid.grid import NONE
from stiltgrid.grid.layout import Column, Layout
from stiltgrid.utils.files import atomic_path

MISSING_SHOWN = 3


def write_summary(
    scores_path: str | os.PathLike[str],
    layout: Layout,
    places: Mapping[str, str],
    out: str | os.PathLike[str],
    best_rows_path: str | os.PathLike[str] | None = None,
) -> None:
    """Write the summary of a score table; `places` maps names such as "matrix" to paths."""
    best = read_best_rows(best_rows_path) if best_rows_path else {}
    text = summary_text(read_transfer(scores_path, layout), places, best)
    with atomic_path(out) as temporary:
        temporary.write_text(text, encoding="utf-8")


def summary_text(transfer: Transfer, places: Mapping[str, str], best: Best | None = None) -> str:
    """One line per model and target with its best row, then remarks and paths.

    `best` has the rows that development data chose; a target outside it shows the row with the highest score.
    """
    layout, best = transfer.layout, best or {}
    present = transfer.expected - len(transfer.missing)
    size = ", ".join([
        _count(len(layout.models), "model"),
        _count(len(layout.intermediates), "intermediate"),
        _count(len(layout.columns), "target"),
        _count(len(layout.seeds), "seed"),
    ])  # fmt: skip
    lines = [f"Transfer grid: {size}; {present} of {transfer.expected} scores are in."]
    for model in layout.models:
        lines += ["", f"{model}: best row of each target (scores from 0 to 100, gain over none and its 95 % interval)"]
        found = [(column, best.get((model, column.target))) for column in layout.columns]
        lines += _aligned(
            _chosen_line(transfer, model, column, row) if row else _best_line(transfer, model, column)
            for column, row in found
        )
    lines += ["", *(f"Note: {remark}" for remark in _remarks(transfer, best)), ""]
    width = max((len(name) for name in places), default=0)
    lines += [f"{name.ljust(width)}  {place}" for name, place in places.items()]
    return "\n".join(lines) + "\n"


def best_row(transfer: Transfer, model: str, column: Column) -> Cell | None:
    """The cell with the highest score among the intermediates; the first of the layout wins a tie."""
    cells = [transfer.cell(model, row, column.target) for row in transfer.layout.rows]
    return max((cell for cell in cells if cell), key=lambda cell: cell.score.value, default=None)


def languages_moved(transfer: Transfer, cell: Cell) -> tuple[int, int]:
    """The number of languages with a higher and with a lower score than `none`."""
    gains = [transfer.gain(cell, language) for language in cell.column.languages]
    values = [gain.value for gain in gains if gain]
    return sum(value > 0 for value in values), sum(value < 0 for value in values)


def _chosen_line(transfer: Transfer, model: str, column: Column, best: BestRow) -> tuple[str, ...]:
    """The line of a row that `best_rows.tsv` chose; its numbers are those of the cell in `transfer.tsv`."""
    where, fair = f"chosen on {best.selected_on}", ""
    if best.flattered:
        where += " itself"
        if best.half_gain is not None:
            fair = f"half-of-{best.selected_on} estimate {points(best.half_gain, signed=True)}"
    cell = transfer.cell(model, best.row, column.target)
    return _line(transfer, model, column, cell, best.interval, fair, where)


def _best_line(transfer: Transfer, model: str, column: Column) -> tuple[str, ...]:
    return _line(transfer, model, column, best_row(transfer, model, column))


def _line(
    transfer: Transfer,
    model: str,
    column: Column,
    cell: Cell | None,
    interval: str = "",
    fair: str = "",
    where: str = "",
) -> tuple[str, ...]:
    """Target, metric, score of `none`, row with its score, gain, estimate from halves, and how the row was chosen."""
    baseline, head = transfer.cell(model, NONE, column.target), (column.target, f"{column.metric} ({column.split})")
    none = f"none {points(baseline.score.value)}" if baseline else "none missing"
    if cell is None:
        return (*head, none if baseline else "no score", "no other row has a score", "", fair, where)
    gain, notes = transfer.gain(cell), [where] if where else []
    better, worse = languages_moved(transfer, cell)
    if gain and cell.intermediate != NONE:
        notes.append(f"{better} of {_count(len(column.languages), 'language')} better, {worse} worse")
    elif cell.intermediate == NONE:
        notes.append("no row helps")
    if not where and gain and gain.value < 0:
        notes.append("no row helps")
    shown = _gain(gain, interval) if gain else ""
    return (*head, none, f"{cell.intermediate} {points(cell.score.value)}", shown, fair, "; ".join(notes))


def _gain(gain: Estimate, interval: str) -> str:
    spread = f" ± {points(gain.sd)}" if gain.sd is not None else ""
    return f"{points(gain.value, signed=True)}{spread} {interval}".rstrip()


def _aligned(rows: Iterator[tuple[str, ...]]) -> list[str]:
    table = list(rows)
    widths = [max(len(row[index]) for row in table) for index in range(len(table[0]))] if table else []
    return [
        "  " + "  ".join(field.ljust(width) for field, width in zip(row, widths, strict=True) if width).rstrip()
        for row in table
    ]


def _remarks(transfer: Transfer, best: Best) -> Iterator[str]:
    layout = transfer.layout
    if layout.synthetic:
        yield "the data is synthetic (mini-lab); these numbers say nothing about real languages."
    if len(layout.seeds) == 1:
        yield "one seed, so the variance of training is unseen; small gains may be chance."
    pairs = [(row.fair_gain, row.claimed) for row in best.values() if row.fair_gain is not None]
    if pairs:
        fair, claimed = (sum(values) / len(pairs) for values in zip(*pairs, strict=True))
        metrics = {column.metric for column in layout.columns}
        mixed = " (a mean over metrics that differ)" if len(metrics) > 1 else ""
        yield (
            f"the gains of rows chosen on other data than they are reported on, estimates from halves included, are "
            f"{points(fair, signed=True)} on average{mixed}. Choosing on the reported scores would have claimed "
            f"{points(claimed, signed=True)}."
        )
    places = [(model, column.target) for model in layout.models for column in layout.columns]
    picked = [target for model, target in places if (model, target) not in best or best[model, target].flattered]
    if picked:
        of = f" ({', '.join(dict.fromkeys(picked))})" if best else ""
        yield f"the best row is picked on the scores that are shown{of}, which flatters it."
    if transfer.missing:
        shown = "; ".join(transfer.missing[:MISSING_SHOWN])
        more = len(transfer.missing) - MISSING_SHOWN
        yield f"missing: {shown}" + (f"; and {more} more." if more > 0 else ".")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
