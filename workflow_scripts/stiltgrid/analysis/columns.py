"""What the columns of the grid's tables mean, with their units: for `results/tables/README.md` and the results page.

`study_columns` has those of the studies. A test compares both with the columns that are written.
"""

from collections.abc import Mapping
from typing import NamedTuple

POINTS = "points"  # of a score from 0 to 100
SCORE = "0 to 100"
COUNT = "count"
NAME = ""  # names and remarks have no unit


class Column(NamedTuple):
    """The unit of a column (empty for names) and its meaning, one sentence."""

    unit: str
    meaning: str

    @property
    def line(self) -> str:
        """Meaning and unit in one line."""
        return f"{self.meaning} Unit: {self.unit}." if self.unit else self.meaning


TABLES: Mapping[str, str] = {
    "scores.parquet": "Every score of every cell, one a line: the table that all others are computed from",
    "transfer.tsv": "Score and gain of every cell",
    "transfer_by_language.tsv": "Score and gain of every cell in every language",
    "significance.tsv": "Gains with 95 % intervals and p-values",
    "significance_by_language.tsv": "Gains with 95 % intervals and p-values, by language",
    "best_rows.tsv": "The best row of every target, then their mean, which mixes the targets' metrics",
    "language_gaps.tsv": "English against the other languages, worst and best language",
    "language_groups.tsv": "Language families and scripts",
    "official.tsv": "Averages of benchmarks, by the rule of each",
    "published.tsv": "These scores beside published ones; only a header where nothing published can be compared",
}
MISSING = ("missing.tsv", "The cells that have no score yet")  # beside the tables of a grid that is not finished
COLUMNS: Mapping[str, Column] = {
    "model": Column(NAME, "The backbone, as named in the configuration."),
    "intermediate": Column(NAME, "The row: the task or recipe that the model was trained on first; none: no training."),
    "target": Column(NAME, "The column: the task that is scored."),
    "language": Column(NAME, "Code of the language."),
    "split": Column(NAME, "The split that the score is computed on."),
    "metric": Column(NAME, "The metric of the score. Points of different metrics are not comparable."),
    "seed": Column(NAME, "Seed of training."),
    "seeds": Column(COUNT, "Seeds that the mean is over."),
    "languages": Column(COUNT, "Languages that the mean is over."),
    "members": Column(NAME, "The languages of the group."),
    "score": Column(SCORE, "Mean over languages, then over seeds."),
    "value": Column(SCORE, "Score of one seed in one language."),
    "gain": Column(POINTS, "Score less that of none with the same model, target and seed; mean over seeds."),
    "sd": Column(POINTS, "Standard deviation over seeds: of the gain where it is tested, else of the score."),
    "gain_sd": Column(POINTS, "Standard deviation of the gain over seeds. Empty with one seed."),
    "se": Column(POINTS, "Standard error of the gain."),
    "low": Column(POINTS, "Lower end of the gain's 95 % interval."),
    "high": Column(POINTS, "Upper end of the gain's 95 % interval."),
    "df": Column(NAME, "Degrees of freedom of the interval."),
    "p": Column("0 to 1", "Two-sided p-value of the gain, not corrected."),
    "p_holm": Column("0 to 1", "P-value corrected over the whole table by Holm's method."),
    "p_bh": Column("0 to 1", "P-value corrected over the whole table by Benjamini and Hochberg's method."),
    "english": Column(SCORE, "Score in English; empty where the target has none."),
    "zero_shot": Column(SCORE, "Mean over the languages other than English, then over seeds."),
    "none": Column(SCORE, "Score of none: the model trained on the target alone."),
    "n": Column(COUNT, "Examples that the score is computed on."),
    "statistic": Column(NAME, "What the score is of the resampled examples."),
    "remark": Column(NAME, "What limits the numbers of this line."),
    "chosen": Column(NAME, "The row with the highest score on the data of selected_on."),
    "selected_on": Column(NAME, "The split that chose the row; the same as reported_on where a target has one split."),
    "selected_score": Column(SCORE, "Score of the chosen row on that split."),
    "selected_languages": Column(COUNT, "Languages of that split."),
    "reported_on": Column(NAME, "The split that score and gain are computed on."),
    "best_there": Column(NAME, "The row with the highest score on the reported split."),
    "gain_best_there": Column(POINTS, "Its gain: what choosing on the reported split would claim."),
    "half_split_rows": Column(NAME, "Where one split chooses and reports: the rows that its two halves choose."),
    "half_split_score": Column(SCORE, "Mean score of these rows on the half that did not choose them."),
    "half_split_gain": Column(POINTS, "Gain of the same: the estimate that choosing has not flattered."),
    "gap": Column(POINTS, "English less the mean of the other languages; lower is better."),
    "gap_sd": Column(POINTS, "Standard deviation of the gap over seeds."),
    "gap_less_none": Column(POINTS, "The gap less the gap of none."),
    "worst_language": Column(NAME, "The language with the lowest score."),
    "worst": Column(SCORE, "The lowest score of a language."),
    "worst_gain": Column(POINTS, "Gain in that language."),
    "best_language": Column(NAME, "The language with the highest score."),
    "best": Column(SCORE, "The highest score of a language."),
    "spread": Column(POINTS, "Standard deviation over languages."),
    "kind": Column(NAME, "Whether the group is a language family or a script."),
    "group": Column(NAME, "The language family, or the ISO 15924 code of the script."),
    "benchmark": Column(NAME, "The benchmark that the average belongs to."),
    "level": Column(NAME, "A task, a group of tasks or the whole benchmark; the last two mix metrics."),
    "name": Column(NAME, "The task or group."),
    "official": Column(NAME, "yes: as the benchmark's program prints it; own: complete, no program; no: incomplete."),
    "lacks": Column(NAME, "What is missing for the average to be complete."),
    "hub": Column(NAME, "Name of the model on the hub."),
    "published_row": Column(NAME, "The row of the publication."),
    "ours": Column(SCORE, "Score of this grid: mean over seeds."),
    "published": Column(SCORE, "Published score."),
    "difference": Column(POINTS, "Ours less published."),
    "certainty": Column(NAME, "How the published figure is known."),
    "source": Column(NAME, "Where the figure was published."),
    "synthetic": Column(NAME, "True where the data is the mini-lab's, which says nothing about real languages."),
}  # fmt: skip
# Where a table uses a name in another sense.
OWN: Mapping[str, Mapping[str, Column]] = {
    "scores.parquet": {"n": Column(COUNT, "Examples in this language and split.")},
    "official.tsv": {
        "score": Column(SCORE, "The average by the benchmark's rule, then the mean over seeds."),
        "split": Column(NAME, "The splits of the tasks."),
        "languages": Column(COUNT, "Languages of the tasks, summed."),
    },
    "published.tsv": {"language": Column(NAME, "Code of the language; mean: over the target's XTREME languages.")},
}


def column(table: str, name: str) -> Column:
    """The description of a column of `results/tables/{table}`; KeyError for one that is not described."""
    return OWN.get(table, {}).get(name) or COLUMNS[name]


def explanation(name: str, table: str = "") -> str:
    """A column's meaning with its unit in one line; KeyError for one that is not described."""
    return column(table, name).line
