"""What a selection answers: the row of each target, how sure that is, what it cost, what would be tried next."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stiltgrid.analysis.language_groups import group_of
from stiltgrid.analysis.shown import points
from stiltgrid.analysis.significance import generator_of
from stiltgrid.analysis.tables import AnyPath, write_tsv
from stiltgrid.grid.grid import NONE
from stiltgrid.grid.layout import Column
from stiltgrid.grid.selection import LOW
from stiltgrid.selection.belief import Belief, Choice, choose
from stiltgrid.selection.development import Developed, reported, seen_cells
from stiltgrid.selection.rounds import Problem, developed_columns, learned_from, state_of, would_be_next
from stiltgrid.selection.tables import ProposedCell

ALL = "all"
COLUMNS = (
    "model", "target", "metric", "by", "group", "languages", "chosen", "probability", "regret", "second",
    "second_probability", "seeds", "rows_tried", "development_score", "reported_on", "score", "gain", "spent", "next",
    "next_cost", "remark",
)  # fmt: skip

LEGEND = """*Best with*: the probability that no other row is better in a long run of seeds and examples. *Points lost*:
what the choice is expected to lose against the best row. *Spent* counts a row's intermediate training with the target
that it was first trained for. Rows are chosen on development examples; *score* and *gain* (over `none`) are of examples
that chose nothing, and empty where these cells have not run. `snakemake` alone completes the grid; nothing is trained
twice."""


@dataclass(frozen=True)
class Answer:
    """The choice for a target, or for some of its languages (`by` language, family or script; `all` for the target).

    `probability` in [0, 1] that the row is best, `regret` in points, `spent` and `next_cost` in percent of the grid's
    cost. `score` is that of the chosen row on examples that chose nothing, `gain` its difference to `none`; None where
    they have not run.
    """

    model: str
    column: Column
    by: str
    group: str
    languages: tuple[str, ...]
    choice: Choice
    rows: tuple[str, ...]
    seeds: int
    rows_tried: int
    development_score: float | None
    score: float | None
    gain: float | None
    spent: float
    next_cell: ProposedCell | None

    @property
    def chosen(self) -> str:
        """The chosen row."""
        return self.rows[self.choice.row]

    @property
    def second(self) -> tuple[str, float]:
        """The other row that is most probably best, and that probability."""
        others = self.choice.probabilities.copy()
        others[self.choice.row] = -1
        place = int(np.argmax(others))
        return self.rows[place], float(others[place])

    @property
    def remark(self) -> str:
        """What weakens the answer."""
        if not self.rows_tried:
            return "nothing was run: the prior alone"
        return "" if self.seeds else "the chosen row has not run at full fidelity"


def answers(problem: Problem, cells: Sequence[ProposedCell]) -> Iterator[Answer]:
    """The answers for one model, target by target, each followed by those for its languages where asked for."""
    mine = [cell for cell in cells if cell.model == problem.model]
    developed = developed_columns(problem, mine)
    learned = learned_from(problem, developed)
    state = state_of(problem, mine, developed, learned)
    for number, (column, each) in enumerate(zip(problem.layout.columns, developed, strict=True)):
        own = [cell for cell in mine if cell.target == column.target]
        after = would_be_next(problem, state, number)
        yield _answer(problem, column, own, (ALL, ALL, ()), state.beliefs[number], each, after)
        if each is None:
            continue
        for by, group, languages in _groups(problem.selection.by, each.languages):
            belief = learned.belief(number, seen_cells(each, problem.rows, languages))
            yield _answer(problem, column, own, (by, group, languages), belief, each, None)


def _groups(kinds: Sequence[str], languages: Sequence[str]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """(kind, group, languages) of every group of a target's development languages."""
    for kind in kinds:
        members: dict[str, list[str]] = {}
        for code in languages:
            members.setdefault(code if kind == "language" else group_of(code, kind), []).append(code)
        for group, codes in sorted(members.items()):
            yield kind, group, tuple(codes)


def _answer(
    problem: Problem,
    column: Column,
    cells: Sequence[ProposedCell],
    part: tuple[str, str, tuple[str, ...]],
    belief: Belief,
    developed: Developed | None,
    after: ProposedCell | None,
) -> Answer:
    by, group, languages = part
    tried = {problem.rows.index(cell.intermediate) for cell in cells if cell.fidelity != LOW}
    choice = choose(belief, generator_of(problem.model, f"{column.target}/{by}/{group}"), tried)
    row = problem.rows[choice.row]
    ran = [cell for cell in cells if cell.intermediate == row and cell.fidelity != LOW]
    score, gain = _reported(problem, column, ran, cells, languages)
    return Answer(
        problem.model, column, by, group, languages or (developed.languages if developed else column.languages), choice,
        problem.rows, len(ran), len({cell.intermediate for cell in cells}),
        _development_score(developed, ran, languages), score, gain, sum(cell.cost for cell in cells), after,
    )  # fmt: skip


def _development_score(
    developed: Developed | None, ran: Sequence[ProposedCell], languages: Sequence[str]
) -> float | None:
    if developed is None or not ran:
        return None
    places = [number for number, code in enumerate(developed.languages) if not languages or code in languages]
    numbers = [developed.cells.index(cell) for cell in ran]
    return float(developed.scores[np.ix_(places, numbers)].mean())


def _reported(
    problem: Problem,
    column: Column,
    ran: Sequence[ProposedCell],
    cells: Sequence[ProposedCell],
    languages: tuple[str, ...],
) -> tuple[float | None, float | None]:
    """Score of the chosen row, mean over its seeds, and its gain over `none` at the seeds that both have.

    The only place where a selection reads other than development scores.
    """
    family = problem.families[column.target]
    some = tuple(code for code in languages if code in column.languages)
    if not ran or (languages and not some):
        return None, None
    scores = {cell.seed: reported(cell, column, family, some) for cell in ran}
    bases = {
        cell.seed: reported(cell, column, family, some)
        for cell in cells
        if cell.intermediate == NONE and cell.fidelity != LOW and cell.seed in scores
    }
    gains = [scores[seed] - base for seed, base in bases.items()]
    return float(np.mean(list(scores.values()))), float(np.mean(gains)) if gains else None


def write_answers(found: Sequence[Answer], path: AnyPath, synthetic: bool) -> None:
    """Write `selection.tsv`."""
    write_tsv(COLUMNS, (_row(answer) for answer in found), path, synthetic=synthetic)


def read_answers(path: AnyPath) -> list[dict[str, str]]:
    """The lines of `selection.tsv`, one a target and group, for pages that show it; empty fields are empty text."""
    with Path(path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def _row(answer: Answer) -> dict[str, Any]:
    second, probability = answer.second
    after = answer.next_cell
    return {
        "model": answer.model, "target": answer.column.target, "metric": answer.column.metric, "by": answer.by,
        "group": answer.group, "languages": " ".join(answer.languages), "chosen": answer.chosen,
        "probability": answer.choice.probability, "regret": answer.choice.regret, "second": second,
        "second_probability": probability, "seeds": answer.seeds, "rows_tried": answer.rows_tried,
        "development_score": answer.development_score,
        "reported_on": answer.column.split if answer.score is not None else None, "score": answer.score,
        "gain": answer.gain, "spent": answer.spent,
        "next": after and f"{after.intermediate} seed {after.seed}", "next_cost": after and after.cost,
        "remark": answer.remark,
    }  # fmt: skip


def summary(
    found: Sequence[Answer], cells: Sequence[ProposedCell], budget: float, priors: Sequence[str], synthetic: bool
) -> str:
    """The text of `summary.md`."""
    whole = [answer for answer in found if answer.by == ALL]
    models = list(dict.fromkeys(answer.model for answer in whole))
    spent = sum(cell.cost for cell in cells) / len(models)
    sure = sum(answer.choice.probability >= 0.8 for answer in whole)
    loss = float(np.mean([answer.choice.regret for answer in whole]))
    lines = [
        "# Which row is best for each target?",
        "",
        f"For {spent:.1f} % of the grid's cost ({100 * budget:g} % allowed), {len(whole)} targets have a row, "
        f"{sure} of them one that is best with 80 % or more; choosing them is expected to lose {loss:.2f} points on "
        "average.",
        "",
    ]
    if synthetic:
        lines += ["The data is synthetic: nothing here is about real languages.", ""]
    source = "; ".join(priors) if priors else "none, so the first round guesses"
    lines += [
        f"Prior: {source}. {len(cells)} cells ran, {sum(cell.fidelity == LOW for cell in cells)} at low fidelity.",
        "",
    ]
    for model in models:
        lines += _table(model, [answer for answer in whole if answer.model == model])
    return "\n".join([*lines, *_by_language([answer for answer in found if answer.by != ALL]), LEGEND]) + "\n"


def _by_language(parts: Sequence[Answer]) -> list[str]:
    if not parts:
        return []
    return [
        "## By language",
        "",
        "| target | by | group | row | best with | points lost |",
        "|---|---|---|---|---|---|",
        *(
            f"| {a.column.target} | {a.by} | {a.group} | {a.chosen} | {_percent(a.choice.probability)} | "
            f"{a.choice.regret:.2f} |"
            for a in parts
        ),
        "",
    ]


def _table(model: str, found: Sequence[Answer]) -> list[str]:
    spent = sum(answer.spent for answer in found)
    lines = [
        f"## {model}: {spent:.1f} % spent, {100 - spent:.1f} % saved",
        "",
        "| target | row | best with | points lost | then | rows tried | seeds | score | gain | spent | next |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for answer in found:
        second, probability = answer.second
        after = answer.next_cell
        following = f"{after.intermediate}, seed {after.seed} ({after.cost:.1f} %)" if after else "–"
        lines.append(
            f"| {answer.column.target} | {answer.chosen} | {_percent(answer.choice.probability)} | "
            f"{answer.choice.regret:.2f} | {second} {_percent(probability)} | {answer.rows_tried} | {answer.seeds} | "
            f"{_number(answer.score)} | {_number(answer.gain, True)} | {answer.spent:.1f} % | {following} |"
        )
    remarks = [f"- {answer.column.target}: {answer.remark}." for answer in found if answer.remark]
    return [*lines, "", *remarks, *([""] if remarks else [])]


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _number(value: float | None, signed: bool = False) -> str:
    return "–" if value is None else points(value, signed)
