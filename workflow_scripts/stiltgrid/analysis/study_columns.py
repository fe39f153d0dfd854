"""Columns of the studies' tables in their order, with meanings and units, by `{study}/{file}` in `results/studies/`.

The tables of row selection are in `results/selection/`.
"""

from collections.abc import Mapping

from stiltgrid.analysis.columns import COLUMNS, COUNT, NAME, POINTS, SCORE, Column

P = "0 to 1"
SHARE = "0 to 1"
LOW = Column(POINTS, "Lower end of the 95 % interval of the number before it.")
HIGH = Column(POINTS, "Upper end of the 95 % interval of the number before it.")
P_VALUE = Column(P, "P-value, not corrected.")
DETECTABLE = Column(POINTS, "The effect that would be found 9 times in 10.")
PAIR = {
    "first": Column(NAME, "The first model of the pair."),
    "second": Column(NAME, "The second model of the pair."),
    "by": Column(NAME, "What the line is about: all cells, a target, a family, a language or a cell."),
}
RANKING = {
    "strategy": Column(NAME, "How rows are ranked for a target before any is tried."),
    "lost1": Column(POINTS, "Score lost by taking the first row of the ranking instead of the best."),
    "regret1": Column("%", "The same as a share of the best row's score."),
    "regret3": Column("%", "Share of the best row's score that is lost by taking the best of the first three."),
    "ndcg": Column(SCORE, "Normalised discounted cumulative gain of the ranking; 100: perfect."),
}


def _columns(names: str, own: Mapping[str, Column]) -> Mapping[str, Column]:
    """The columns of a table in its order; those without a description of their own mean what they mean elsewhere."""
    listed = names.split()
    if unknown := own.keys() - set(listed):
        raise KeyError(f"described, but not among the columns: {', '.join(sorted(unknown))}")
    return {name: own.get(name) or COLUMNS[name] for name in listed}


STUDIES: Mapping[str, Mapping[str, Column]] = {
    "similarity/pairs.tsv": _columns(
        "model intermediate target measure similarity gain score examples same_family", {
        "measure": Column(NAME, "How task vectors are made and compared."),
        "similarity": Column(NAME, "Similarity of the row's task vector and the target's; its scale is the measure's."),
        "gain": Column(POINTS, "Gain over none of the mean over the languages other than English."),
        "score": Column(SCORE, "Mean over the languages other than English."),
        "examples": Column(COUNT, "Examples that the row was trained on."),
        "same_family": Column(NAME, "True where row and target are of one task family."),
    }),
    "similarity/associations.tsv": _columns(
        "model measure target rho rho_p rho_p_holm slope low high p p_max_t within_rows within_rows_low "
        "within_rows_high within_rows_p within_rows_p_max_t rows targets controls remark", {
        "measure": Column(NAME, "How task vectors are made and compared."),
        "target": Column(NAME, "The target, or all of them together."),
        "rho": Column("-1 to 1", "Spearman's correlation of gain and similarity over rows (all: mean over targets)."),
        "rho_p": Column(P, "Its p-value by permuting rows."),
        "rho_p_holm": Column(P, "The same corrected over targets by Holm's method."),
        "slope": Column("standard deviations", "Change of the gain for one of similarity, controls held."),
        "low": Column("standard deviations", "Lower end of the slope's 95 % interval."),
        "high": Column("standard deviations", "Upper end of the slope's 95 % interval."),
        "p": Column(P, "P-value of the slope by permuting rows."),
        "p_max_t": Column(P, "The same adjusted over all measures and strategies."),
        "within_rows": Column("standard deviations", "The slope within rows and targets."),
        "within_rows_low": Column("standard deviations", "Lower end of its 95 % interval."),
        "within_rows_high": Column("standard deviations", "Upper end of its 95 % interval."),
        "within_rows_p": Column(P, "Its p-value by permuting rows."),
        "within_rows_p_max_t": Column(P, "The same adjusted over all measures and strategies."),
        "rows": Column(COUNT, "Rows that are compared."),
        "targets": Column(COUNT, "Targets that are compared."),
        "controls": Column(NAME, "What the slope holds constant."),
    }),
    "similarity/ranking.tsv": _columns(
        "model strategy targets lost1 regret1 regret3 ndcg p_lost1 p_lost1_max_t p_regret3 p_ndcg", {
        **RANKING,
        "targets": Column(COUNT, "Targets that the means are over."),
        "p_lost1": Column(P, "One-sided p-value: rows ranked at random lose as little."),
        "p_lost1_max_t": Column(P, "The same adjusted over all measures and strategies."),
        "p_regret3": Column(P, "One-sided p-value of regret3."),
        "p_ndcg": Column(P, "One-sided p-value of ndcg."),
    }),
    "similarity/first_choices.tsv": _columns(
        "model target strategy first score best best_score lost1 regret1 regret3 ndcg", {
        **RANKING,
        "first": Column(NAME, "The first row of the ranking."),
        "score": Column(SCORE, "Its score."),
        "best": Column(NAME, "The row with the highest score."),
        "best_score": Column(SCORE, "Its score."),
    }),
    "architecture/divergence.tsv": _columns(
        "first second by name f df1 df2 p p_holm sd low high detectable noise remark", {
        **PAIR,
        "name": Column(NAME, "The target, family or language."),
        "f": Column(NAME, "F statistic of the interaction of model, row and target."),
        "df1": Column(NAME, "Degrees of freedom of the interaction."),
        "df2": Column(NAME, "Degrees of freedom of the noise."),
        "p": P_VALUE,
        "p_holm": Column(P, "P-value corrected by Holm's method over the lines with the same `by`."),
        "sd": Column(POINTS, "Standard deviation of the true differences between both models' patterns of gains."),
        "low": LOW,
        "high": HIGH,
        "detectable": Column(POINTS, "The standard deviation that would be found 9 times in 10."),
        "noise": Column(POINTS, "Standard deviation over seeds of one centred gain."),
    }),
    "architecture/likeness.tsv": _columns(
        "first second reading correlation p needed rows targets ceiling corrected", {
        "first": PAIR["first"],
        "second": PAIR["second"],
        "reading": Column(NAME, "How both matrices of gains are compared."),
        "correlation": Column("-1 to 1", "Correlation of both matrices of gains."),
        "p": Column(P, "The larger p-value of both permutation tests."),
        "needed": Column(SHARE, "The correlation that would have had p = 0.05."),
        "rows": Column(COUNT, "Rows that are compared."),
        "targets": Column(COUNT, "Targets that are compared."),
        "ceiling": Column(SHARE, "The correlation that noise over seeds allows; empty with one seed."),
        "corrected": Column("-1 to 1", "The correlation over its ceiling."),
    }),
    "architecture/differences.tsv": _columns(
        "first second by intermediate target language gain_first_less_second se low high p p_holm", {
        **PAIR,
        "intermediate": Column(NAME, "The row or its family; empty for the mean over all."),
        "target": Column(NAME, "The target or its family; empty for the mean over all."),
        "language": Column(NAME, "The language; empty for the mean over all."),
        "gain_first_less_second": Column(POINTS, "Gain of the first model less that of the second."),
        "se": Column(POINTS, "Its standard error."),
        "low": LOW,
        "high": HIGH,
        "p": P_VALUE,
        "p_holm": Column(P, "P-value corrected by Holm's method over the lines with the same `by`."),
    }),
    "diversity/outcomes.tsv": _columns(
        "model intermediate set tasks examples_asked examples seed zero_shot worst spread gap", {
        "set": Column(NAME, "The set of tasks that the row mixes."),
        "tasks": Column(COUNT, "Tasks of the set."),
        "examples_asked": Column(COUNT, "Training examples that the configuration asks for."),
        "examples": Column(COUNT, "Training examples that were used."),
        "zero_shot": Column(SCORE, "Mean over languages other than English and over targets (mixes their metrics)."),
        "worst": Column(SCORE, "The lowest score of a language other than English, mean over targets."),
        "spread": Column(POINTS, "Standard deviation over these languages, mean over targets."),
        "gap": Column(POINTS, "English less the mean of the other languages, mean over targets."),
    }),
    "diversity/effects.tsv": _columns(
        "model outcome more_is_better effect points low high p df points_a_doubling detectable rows sets", {
        "outcome": Column(NAME, "The outcome that changes: a column of outcomes.tsv."),
        "more_is_better": Column(NAME, "yes or no."),
        "effect": Column(NAME, "The number of tasks, of examples, or the difference of both effects."),
        "points": Column(POINTS, "Change of the outcome for one standard deviation of the logarithm of the number."),
        "low": LOW,
        "high": HIGH,
        "p": P_VALUE,
        "df": Column(NAME, "Degrees of freedom."),
        "points_a_doubling": Column(POINTS, "Change of the outcome for a doubling of the number."),
        "detectable": DETECTABLE,
        "rows": Column(COUNT, "Rows that the effect is estimated from."),
        "sets": Column(COUNT, "Task sets, the units of the test."),
    }),
    "how_many/ranking.tsv": _columns(
        "model rank task metric dev chance best normalised seeds", {
        "rank": Column(COUNT, "Place of the task, best first."),
        "task": Column(NAME, "The task, trained alone."),
        "dev": Column(SCORE, "English development score: mean over seeds."),
        "chance": Column(SCORE, "Score of guessing."),
        "best": Column(SCORE, "The highest score that is possible."),
        "normalised": Column(SHARE, "Development score between chance (0) and best (1)."),
    }),
    "how_many/curves.tsv": _columns(
        "model group languages tasks added_task best_tasks low high random random_low random_high orders "
        "seeds", {
        "group": Column(NAME, "The group of languages."),
        "languages": Column(NAME, "The languages of the group."),
        "tasks": Column(COUNT, "Tasks of the mixture, best first."),
        "added_task": Column(NAME, "The task that is new in this mixture."),
        "best_tasks": Column(SCORE, "Score of the mixture of the best tasks; mean over targets (mixes their metrics)."),
        "low": Column(SCORE, "Lower end of its 95 % interval over training noise."),
        "high": Column(SCORE, "Upper end of its 95 % interval over training noise."),
        "random": Column(SCORE, "Mean score of as many tasks in random orders."),
        "random_low": Column(SCORE, "Lower end of its 95 % interval."),
        "random_high": Column(SCORE, "Upper end of its 95 % interval."),
        "orders": Column(COUNT, "Random orders."),
    }),
    "how_many/languages.tsv": _columns(
        "language family observed fusion morphology morphology_group typology typology_group", {
        "family": Column(NAME, "The language family."),
        "observed": Column(SHARE, "Share of the morphological features that are known of the language."),
        "fusion": Column(SHARE, "Mean of the features of bound marking."),
        "morphology": Column(SHARE, "Similarity to English in morphology."),
        "morphology_group": Column(NAME, "Near to English or far from it, by that."),
        "typology": Column(SHARE, "Similarity to English in the other typological features."),
        "typology_group": Column(NAME, "Near to English or far from it, by that."),
    }),
    "how_many/tests.tsv": _columns(
        "model group test points low high p df detectable n remark", {
        "group": Column(NAME, "The group of languages, or the kind of similarity to English."),
        "test": Column(NAME, "What is tested."),
        "points": Column(POINTS, "Effect of a doubling of tasks, a place in the ranking, or one standard deviation."),
        "low": LOW,
        "high": HIGH,
        "p": P_VALUE,
        "df": Column(NAME, "Degrees of freedom."),
        "detectable": DETECTABLE,
        "n": Column(NAME, "What the test counts, in words."),
    }),
    "retrieval/outcomes.tsv": _columns(
        "model intermediate kind target phase metric language value n", {
        "kind": Column(NAME, "English, multilingual, a control, or none."),
        "phase": Column(NAME, "Before or after training for retrieval."),
        "value": Column(SCORE, "The metric in one language: mean over seeds."),
        "n": Column(COUNT, "Queries."),
    }),
    "retrieval/contrasts.tsv": _columns(
        "model target phase metric contrast points se low high p languages queries", {
        "target": Column(NAME, "The target, or the mean over the retrieval targets of XTREME-R."),
        "phase": Column(NAME, "Before or after training for retrieval, or the difference of both."),
        "contrast": Column(NAME, "The rows that are compared."),
        "points": Column(POINTS, "Mean of the first rows less mean of the others."),
        "se": Column(POINTS, "Its standard error."),
        "low": LOW,
        "high": HIGH,
        "p": P_VALUE,
        "languages": Column(COUNT, "Languages that the mean is over."),
        "queries": Column(COUNT, "Queries that the mean is over."),
    }),
    "selection/round.tsv": _columns(
        "model intermediate target fidelity seed cost gain reason", {
        "fidelity": Column(NAME, "full: the grid's own training; low: a cheaper one that selection trains first."),
        "cost": Column("% of the grid's cost", "What the cell costs to run."),
        "gain": Column(POINTS, "The gain that is expected of it."),
        "reason": Column(NAME, "Why the cell is run."),
    }),
    "selection/selection.tsv": _columns(
        "model target metric by group languages chosen probability regret second second_probability seeds "
        "rows_tried development_score reported_on score gain spent next next_cost remark", {
        "by": Column(
            NAME, "What the line is about: all languages of the target, a language, a language family or a script."
        ),
        "group": Column(NAME, "The language, family or script; all for all languages."),
        "languages": Column(NAME, "The languages of the line."),
        "chosen": Column(NAME, "The row to take."),
        "probability": Column(P, "Probability that no other row is better in a long run of seeds and examples."),
        "regret": Column(POINTS, "What taking the row is expected to lose against the best one."),
        "second": Column(NAME, "The other row that is most probably best."),
        "second_probability": Column(P, "Its probability of being best."),
        "seeds": Column(COUNT, "Seeds of the chosen row that have run."),
        "rows_tried": Column(COUNT, "Rows of which a cell has run."),
        "development_score": Column(SCORE, "Score of the chosen row on the examples that choose."),
        "reported_on": Column(NAME, "The split of score and gain, whose examples chose nothing."),
        "score": Column(SCORE, "Score of the chosen row. Empty where its cells have not run."),
        "gain": Column(POINTS, "Score less that of none. Empty where the cells of none have not run."),
        "spent": Column("% of the grid's cost", "Cost of the target's cells, with the rows trained for it first."),
        "next": Column(NAME, "The cell that would be tried next with more budget."),
        "next_cost": Column("% of the grid's cost", "Cost of that cell."),
    }),
}  # fmt: skip


def study_explanation(table: str, name: str) -> str:
    """A column's meaning with its unit in one line; KeyError for one that is not described."""
    return (STUDIES[table].get(name) or COLUMNS[name]).line
