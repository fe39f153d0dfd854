"""The summary that a run prints: the best row of each target, remarks on the numbers, paths of the results."""

import os
from collections.abc import Iterator, Mapping

from stiltgrid.analysis.best_rows import BETWEEN, Best, BestRow, read_best_rows, signed
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
    """The line of a row that was chosen on other data than its score."""
    where = f"chosen on {best.selected_on}"
    cell = transfer.cell(model, best.rows[0], column.target) if len(best.rows) == 1 else None
    if best.rows == (NONE,):
        where += ", where no row helps"
    elif cell:
        better, worse = languages_moved(transfer, cell)
        where += f"; {better} of {_count(len(column.languages), 'language')} better, {worse} worse"
    return (
        column.target,
        f"{column.metric} ({column.split})",
        f"none {best.none:.1f}",
        f"{BETWEEN.join(best.rows)} {best.score:.1f}",
        f"{signed(best.gain)} {best.interval}".rstrip(),
        where,
    )


def _best_line(transfer: Transfer, model: str, column: Column) -> tuple[str, ...]:
    best, baseline = best_row(transfer, model, column), transfer.cell(model, NONE, column.target)
    if best is None:
        score = f"none {baseline.score.value:.1f}" if baseline else "no score"
        return (column.target, f"{column.metric} ({column.split})", score, "no other row has a score", "", "")
    gain = transfer.gain(best)
    better, worse = languages_moved(transfer, best)
    moved = f"{better} of {_count(len(column.languages), 'language')} better, {worse} worse"
    if gain and gain.value <= 0:
        moved += "; no row helps"
    return (
        column.target,
        f"{column.metric} ({column.split})",
        f"none {baseline.score.value:.1f}" if baseline else "none missing",
        f"{best.intermediate} {best.score.value:.1f}",
        f"{gain.value:+.1f}" + (f" ± {gain.sd:.1f}" if gain.sd is not None else "") if gain else "",
        moved if gain else "",
    )


def _aligned(rows: Iterator[tuple[str, ...]]) -> list[str]:
    table = list(rows)
    widths = [max(len(row[index]) for row in table) for index in range(len(table[0]))] if table else []
    return [
        "  " + "  ".join(field.ljust(width) for field, width in zip(row, widths, strict=True)).rstrip() for row in table
    ]


def _remarks(transfer: Transfer, best: Best) -> Iterator[str]:
    layout = transfer.layout
    if layout.synthetic:
        yield "the data is synthetic (mini-lab); these numbers say nothing about real languages."
    if len(layout.seeds) == 1:
        yield "one seed, so the variance of training is unseen; small gains may be chance."
    if best:
        chosen, claimed = (sum(values) / len(best) for values in zip(*_gains(best), strict=True))
        yield (
            f"rows are chosen on dev (or on the other half of a single split) and score as shown: {signed(chosen)} on "
            f"average. Choosing on these scores themselves would have claimed {signed(claimed)}."
        )
    pairs = [(model, column.target) for model in layout.models for column in layout.columns]
    picked = [target for model, target in pairs if (model, target) not in best]
    if picked:
        of = f" ({', '.join(dict.fromkeys(picked))})" if best else ""
        yield f"the best row is picked on the scores that are shown{of}, which flatters it."
    if transfer.missing:
        shown = "; ".join(transfer.missing[:MISSING_SHOWN])
        more = len(transfer.missing) - MISSING_SHOWN
        yield f"missing: {shown}" + (f"; and {more} more." if more > 0 else ".")


def _gains(best: Best) -> Iterator[tuple[float, float]]:
    return ((row.gain, row.claimed) for row in best.values())


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
