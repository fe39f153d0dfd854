"""`transfer.tex`: the transfer matrix as a LaTeX table (booktabs), written by pandas' Styler."""

import os
from pathlib import Path

from stiltgrid.analysis.best_rows import Best
from stiltgrid.analysis.shown import MINUS, points
from stiltgrid.analysis.statistics import Estimate
from stiltgrid.analysis.tables import Transfer, read_transfer
from stiltgrid.grid.grid import NONE
from stiltgrid.grid.layout import Layout
from stiltgrid.utils.files import atomic_path

LABEL = "tab:transfer"
HEAD = "% For a document with \\usepackage{booktabs}.\n"
SYNTHETIC = "Synthetic data (mini-lab), which says nothing about real languages."
SPECIAL = {
    "\\": "\\textbackslash{}", "{": "\\{", "}": "\\}", "$": "\\$", "&": "\\&", "#": "\\#", "%": "\\%", "_": "\\_",
    "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", MINUS: "$-$", "±": "$\\pm$", "×": "$\\times$",
}  # fmt: skip


def write_latex(
    scores_path: str | os.PathLike[str], layout: Layout, out: str | os.PathLike[str], best: Best | None = None
) -> None:
    """Write the scores of `none` and the gains of every row; the rows in `best` are bold or underlined.

    Names are the layout's display names. Numbers are those of `transfer.tsv` with one decimal.
    """
    text = latex(read_transfer(scores_path, layout), best or {})
    with atomic_path(out) as temporary:
        Path(temporary).write_text(text, encoding="utf-8")


def latex(transfer: Transfer, best: Best) -> str:
    """The table: a block a model, a line a row, a column a target with its metric and split."""
    import pandas as pd

    layout, display = transfer.layout, transfer.layout.display
    several = len(layout.models) > 1
    rows = [(model, row) for model in layout.models for row in (NONE, *layout.rows)]
    names = [
        (escaped(display.model(model)), "none (score)" if row == NONE else escaped(display.task(row)))
        for model, row in rows
    ]
    heads = [
        tuple(map(escaped, (display.task(column.target), display.metric(column.target, column.metric), column.split)))
        for column in layout.columns
    ]
    cells = [[_cell(transfer, model, row, column.target, best) for column in layout.columns] for model, row in rows]
    index = pd.MultiIndex.from_tuples(names) if several else pd.Index([name for _, name in names])
    table = pd.DataFrame(cells, index=index, columns=pd.MultiIndex.from_tuples(heads))
    left = "ll" if several else "l"
    text: str = table.style.to_latex(
        hrules=True, column_format=left + "r" * len(heads), multicol_align="r", multirow_align="naive",
        clines="skip-last;data" if several else None,
        caption=_caption(transfer, best), label=LABEL, position_float="centering",
    )  # fmt: skip
    # pandas has \cline after every block, booktabs its rules between them alone.
    line = f"\\cline{{1-{2 + len(heads)}}}\n"
    text = text.replace(f"{line}\\bottomrule", "\\bottomrule").replace(line, "\\midrule\n")
    mark = f"% {SYNTHETIC}\n" if layout.synthetic else ""
    return HEAD + mark + text


def escaped(text: str) -> str:
    """Text with LaTeX's special characters escaped."""
    return "".join(SPECIAL.get(letter, letter) for letter in text)


def _cell(transfer: Transfer, model: str, row: str, target: str, best: Best) -> str:
    cell = transfer.cell(model, row, target)
    if cell is None:
        return "--"
    shown = cell.score if row == NONE else transfer.gain(cell)
    if shown is None:
        return "--"
    chosen = best.get((model, target))
    if chosen is None or chosen.row != row:
        return _number(shown, signed=row != NONE)
    mark = "\\underline" if chosen.flattered else "\\textbf"
    return f"{mark}{{{_number(shown, signed=row != NONE)}}}"


def _number(shown: Estimate, signed: bool) -> str:
    spread = "" if shown.sd is None else f" {{\\scriptsize$\\pm${points(shown.sd)}}}"
    return escaped(points(shown.value, signed)) + spread


def _caption(transfer: Transfer, best: Best) -> str:
    layout = transfer.layout
    seeds = f"means of {len(layout.seeds)} seeds, with standard deviations" if len(layout.seeds) > 1 else "one seed"
    model = "" if len(layout.models) > 1 else f" of {layout.display.model(layout.models[0])}"
    flattered = {row.flattered for row in best.values()}
    parts = [
        *([SYNTHETIC] if layout.synthetic else []),
        f"Transfer{model}: scores of none (0 to 100, means over the languages of a target) and gains of intermediate "
        f"tasks over them in points; {seeds}.",
        *(["Bold: chosen on development data."] if False in flattered else []),
        *(["Underlined: highest on the scores shown, for want of a second split."] if True in flattered else []),
        *([f"{len(transfer.missing)} of {transfer.expected} scores are missing."] if transfer.missing else []),
    ]
    return escaped(" ".join(parts))
