"""Study 4: curves by hand, rankings, planted scores through the files, refusals."""

import csv
import json
import math
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.stats
from configurations import changed, load
from stiltgrid.analysis.typology import similarity
from stiltgrid.grid.designs import how_many as design
from stiltgrid.grid.designs.diversity import rows as diversity_rows
from stiltgrid.grid.grid import mixture
from stiltgrid.grid.layout import Column, Layout
from stiltgrid.grid.target_caps import uncapped
from stiltgrid.studies.curves import against_random, fit_curve, order_trend, places, set_trend, trend
from stiltgrid.studies.errors import StudyError
from stiltgrid.studies.how_many import write_study
from stiltgrid.studies.language_slopes import similarity_effect
from stiltgrid.studies.ranked_tasks import rank_tasks
from stiltgrid.studies.ranking_table import read_ranking
from study_scores import write_scores

TASKS = ["mnli", "qqp", "squad_v1", "ccg", "hellaswag"]
SECTION: dict[str, Any] = {"tasks": TASKS, "examples": 500, "random_counts": [1, 3], "draws": 3}
WORTH = {"ccg": 4.0, "mnli": 3.0, "qqp": 0.5, "squad_v1": 0.2, "hellaswag": 0.0}
LANGUAGES = ("en", "de", "tr", "ja", "sw", "es", "fi")
COLUMNS = (
    Column("xnli", "accuracy", "test", LANGUAGES, "en"),
    Column("tatoeba", "accuracy", "dev", LANGUAGES[1:], None),
)


pytestmark = pytest.mark.usefixtures("at_the_root")


def noise(*place: object) -> float:
    return float(np.random.default_rng(zlib.crc32(repr(place).encode())).standard_normal())


def test_a_curve_by_hand() -> None:
    scores = np.asarray([[50.0, 52.0], [56.0, 57.0], [57.0, 59.0]])
    curve = fit_curve([1, 2, 4], scores)
    assert curve.means.tolist() == [51.0, 56.5, 58.0]
    # Seeds differ by 5/3 on average; what is left is ±1/6, ∓1/3, ±1/6 of each size's two scores.
    assert curve.noise == pytest.approx(math.sqrt((4 * (1 / 6) ** 2 + 2 * (1 / 3) ** 2) / 2))
    assert curve.df == 2
    assert curve.half_width == pytest.approx(scipy.stats.t.ppf(0.975, 2) * curve.noise / math.sqrt(2))
    assert (curve.best, curve.margin) == (
        4,
        pytest.approx(scipy.stats.studentized_range.ppf(0.95, 3, 2) * curve.noise / 2**0.5),
    )
    assert curve.enough == 2
    line = scipy.stats.linregress([0, 1, 2], curve.means)
    assert trend(curve).value == pytest.approx(line.slope)
    assert trend(curve).se == pytest.approx(curve.noise / math.sqrt(2 * 2))


def test_a_ranking_against_random_orders_is_one_more_draw() -> None:
    orders = np.asarray([[[50.0, 50.0]], [[52.0, 52.0]], [[54.0, 54.0]]])
    effect = against_random(np.asarray([[60.0, 60.0]]), orders)
    assert (effect.value, effect.df) == (8.0, 2.0)
    assert effect.se == pytest.approx(2 * math.sqrt(4 / 3))
    with pytest.raises(StudyError, match="expected two at least, found 1"):
        against_random(np.asarray([[60.0, 60.0]]), orders[:1])


def test_a_place_in_the_ranking_is_a_regression_over_tasks() -> None:
    alone = np.asarray([[9.0, 11.0], [8.0, 8.0], [3.0, 5.0], [6.0, 6.0], [1.0, 2.0]])
    effect = places(alone)
    line = scipy.stats.linregress([4, 3, 2, 1, 0], alone.mean(axis=1))
    assert (effect.value, effect.se, effect.p) == pytest.approx((line.slope, line.stderr, line.pvalue))
    with pytest.raises(StudyError, match="four tasks at least, found 3"):
        places(alone[:3])
    with pytest.raises(StudyError, match="scores that differ"):
        places(np.ones((5, 2)))


def test_random_orders_are_the_units_of_their_trend() -> None:
    slopes = [0.5, 1.5, -0.2, 2.0]
    orders = np.asarray([[[40 + slope * k, 42 + slope * k] for k in (0, 1, 2)] for slope in slopes])
    effect, test = order_trend([1, 2, 4], orders), scipy.stats.ttest_1samp(slopes, 0)
    assert (effect.value, effect.p, effect.df) == pytest.approx((np.mean(slopes), test.pvalue, 3))
    with pytest.raises(StudyError, match="expected 3 units at least, found 2"):
        order_trend([1, 2, 4], orders[:2])


def test_independent_sets_are_the_units_of_their_trend() -> None:
    sizes, scores = [1, 1, 2, 4], np.asarray([[50.0, 52.0], [40.0, 41.0], [55.0, 56.0], [60.0, 58.0]])
    effect = set_trend(sizes, scores)
    assert effect.value == pytest.approx(scipy.stats.linregress([0, 0, 1, 2], scores.mean(axis=1)).slope)
    assert effect.df == 2
    with pytest.raises(StudyError, match="expected 4 units at least, found 3"):
        set_trend(sizes[:3], scores[:3])


SIMILARITIES = {"a": 0.2, "b": 0.4, "c": 0.7, "d": 0.9, "e": 1.0}


def lines_of(slopes: dict[str, float], target: str) -> dict[tuple[str, str], np.ndarray]:
    return {(target, name): np.asarray([[40 + slope * k] * 2 for k in (0, 1, 2)]) for name, slope in slopes.items()}


def test_similarity_is_a_regression_of_slopes_over_languages() -> None:
    slopes = {"a": 0.1, "b": 0.5, "c": 0.4, "d": 1.2, "e": 0.9}
    effect = similarity_effect([1, 2, 4], lines_of(slopes, "xnli"), SIMILARITIES, {})
    x = scipy.stats.zscore([SIMILARITIES[name] for name in "abcde"])
    assert effect.value == pytest.approx(scipy.stats.linregress(x, [slopes[name] for name in "abcde"]).slope)
    with pytest.raises(StudyError, match="equally similar"):
        similarity_effect([1, 2, 4], lines_of(slopes, "xnli"), dict.fromkeys("abcde", 0.5), {})
    with pytest.raises(StudyError, match="four languages with observed features at least, found 2"):
        similarity_effect([1, 2, 4], lines_of(slopes, "xnli"), {"a": 0.1, "b": 0.5}, {})


def test_languages_are_compared_within_targets() -> None:
    """A target on which more tasks help more, and which only similar languages have, is no effect of similarity."""
    rest = {"a": 0.1, "b": -0.1, "c": 0.05, "d": -0.05, "e": 0.0}
    curves = lines_of(rest, "xnli") | lines_of({name: 3 + rest[name] for name in "cde"}, "panx")
    assert abs(similarity_effect([1, 2, 4], curves, SIMILARITIES, {}).value) < 0.1


def test_relatives_are_not_independent() -> None:
    """Families that gain more widen the interval: their languages count together."""
    draw = np.random.default_rng(2)
    names = [f"l{n}" for n in range(16)]
    similarities = {name: 0.4 + 0.1 * (n // 4) + 0.01 * n for n, name in enumerate(names)}
    by_family = draw.standard_normal(4)
    slopes = {name: by_family[n // 4] + 0.1 * float(draw.standard_normal()) for n, name in enumerate(names)}
    families = {name: f"family{n // 4}" for n, name in enumerate(names)}
    alone = similarity_effect([1, 2, 4], lines_of(slopes, "xnli"), similarities, {})
    together = similarity_effect([1, 2, 4], lines_of(slopes, "xnli"), similarities, families)
    assert together.se > 1.3 * alone.se
    # Two related languages among six are too few for a variance within families: families are the units.
    few = {name: similarities[name] for name in names[:2] + names[4:5] + names[8:9] + names[12:13]}
    assert similarity_effect([1, 2, 4], lines_of(slopes, "xnli"), few, families).df == 2


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        (np.ones((3, 1)), "expected two seeds at least, found 1"),
        (np.ones((1, 2)), "two sizes at least"),
        (np.full((3, 2), 50.0), "every score is 50"),
        (np.asarray([[1.0, 2.0], [np.nan, 1.0], [2.0, 3.0]]), "1 of 6 scores are missing"),
    ],
)
def test_a_curve_that_tells_nothing_is_refused(scores: np.ndarray, said: str) -> None:
    with pytest.raises(StudyError, match=said):
        fit_curve([1, 2, 4][: len(scores)], scores)


def records(folder: Path, scores: dict[str, list[float | None]]) -> list[Path]:
    paths = []
    for task, values in scores.items():
        for seed, value in enumerate(values, start=1):
            path = folder / f"{task}{seed}.json"
            stage = {"best_score": value}
            path.write_text(
                json.dumps({"model": {"name": "tiny"}, "intermediate": task, "seed": seed, "stages": [stage]})
            )
            paths.append(path)
    return paths


def test_tasks_are_ranked_between_chance_and_best(tmp_path: Path) -> None:
    tasks = [
        {"name": "mnli", "metric": "accuracy", "chance": 100 / 3, "best": 100.0},
        {"name": "qqp", "metric": "accuracy", "chance": 50.0, "best": 100.0},
        {"name": "ccg", "metric": "accuracy", "chance": 0.0, "best": 50.0},
    ]
    rank_tasks(
        records(tmp_path, {"mnli": [60, 64], "qqp": [70, 70], "ccg": [30, 30]}),
        tasks,
        tmp_path / "ranking.tsv",
        synthetic=False,
    )
    # qqp scores highest, but 0.4 of its way from chance; mnli 0.43; ccg 0.6 of what it can.
    assert read_ranking(tmp_path / "ranking.tsv") == {"tiny": ["ccg", "mnli", "qqp"]}
    with pytest.raises(StudyError, match="without a development score"):
        rank_tasks(records(tmp_path, {"mnli": [None]}), tasks[:1], tmp_path / "none.tsv", synthetic=False)


def planted(model: str, row: str, target: str, seed: int, language: str) -> float:
    """The tasks' worths add up; languages like English gain more of it."""
    recipe = mixture(uncapped(row))
    assert recipe is not None
    likeness = similarity(language, "typology") or 0
    return 40 + likeness * sum(WORTH[task] for task in recipe.tasks) + 0.05 * noise(row, target, seed, language)


def study(
    folder: Path,
    score: Any = planted,
    seeds: tuple[int, ...] = (1, 2),
    drop: int = 0,
    section: dict[str, Any] = SECTION,
) -> SimpleNamespace:
    ranking = sorted(TASKS, key=lambda task: -WORTH[task])
    (folder / "ranking.tsv").write_text(
        "model\trank\ttask\n" + "".join(f"tiny\t{rank}\t{task}\n" for rank, task in enumerate(ranking, start=1))
    )
    rows = [*design.best_rows(section, ranking).values()]
    rows += [row for order in design.random_rows(section) for row in order.values()]
    rows += design.alone_rows(section).values()
    rows += [row for some in design.set_rows(section).values() for row in some]
    made = Layout(("tiny",), tuple(dict.fromkeys(rows))[drop:], COLUMNS, seeds, False)
    out = SimpleNamespace(
        curves=folder / "curves.tsv", tests=folder / "tests.tsv", languages=folder / "languages.tsv",
        plots=[folder / "c.svg"], summary=folder / "s.md",
    )  # fmt: skip
    write_study(write_scores(folder, made, score), folder / "ranking.tsv", made, section, out)
    return out


def lines(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_planted_worth_comes_out(tmp_path: Path) -> None:
    out = study(tmp_path)
    curve = {int(line["tasks"]): line for line in lines(out.curves) if line["group"] == "all"}
    assert [curve[size]["added_task"] for size in curve] == ["ccg", "mnli", "qqp", "squad_v1", "hellaswag"]
    assert float(curve[3]["best_tasks"]) > float(curve[3]["random"]) and curve[2]["random"] == ""
    tests = {(line["group"], line["test"]): line for line in lines(out.tests)}
    assert float(tests["all", "trend"]["low"]) > 0
    assert float(tests["typology", "similarity"]["low"]) > 0
    assert float(tests["all", "trend over random orders"]["points"]) > 0
    assert tests["morphology", "similarity"]["n"] == "4 languages of 4 families"
    assert float(tests["all", "ranked against random"]["points"]) > 0
    assert float(tests["all", "ranked alone"]["low"]) > 0
    text = " ".join(out.summary.read_text(encoding="utf-8").split())
    assert "Languages like these: similarity to English raises what a doubling of these tasks adds." in text
    assert "the smallest number within noise of it" in text and "All mixtures have 500 examples" in text
    assert text.index("How many intermediate tasks, from 1 to 10") < text.index("are enough (within noise")
    known = {line["language"]: line for line in lines(out.languages)}
    assert set(known) == {"de", "tr", "ja", "sw", "es", "fi"} and known["de"]["morphology"] == ""
    assert float(known["fi"]["morphology"]) > float(known["sw"]["morphology"])
    assert known["sw"]["morphology_group"] == "far"
    assert "Not in Grambank, so without a morphological similarity: de, es." in text
    assert out.plots[0].stat().st_size > 1000


def test_independent_sets_have_a_trend_of_their_own_and_limited_targets_are_named(tmp_path: Path) -> None:
    section = {**SECTION, "sets": 4, "target_examples": 4000}
    out = study(tmp_path, section=section)
    line = next(
        line for line in lines(out.tests) if (line["group"], line["test"]) == ("all", "trend over independent sets")
    )
    sizes = {size: len(rows) for size, rows in design.set_rows(section).items()}
    assert sizes == {1: 4, 3: 4} and line["n"] == "8 sets" and float(line["df"]) == 6
    assert float(line["points"]) > 0
    text = " ".join(out.summary.read_text(encoding="utf-8").split())
    assert "Random sets of these tasks:" in text and "Targets were trained on 4,000 examples at most" in text
    (tmp_path / "none").mkdir()
    without = study(tmp_path / "none")
    assert not any(line["test"] == "trend over independent sets" for line in lines(without.tests))


def test_the_sets_are_those_of_the_study_of_diversity() -> None:
    """The same tasks, examples and seed name the same rows, which are trained once."""
    section = {**SECTION, "sets": 3, "target_examples": 4000}
    other = {"tasks": TASKS[::-1], "counts": [1, 3], "examples": [100, 500], "draws": 3, "target_examples": 4000}
    theirs = {row["intermediate"] for row in diversity_rows(other) if row["examples"] == 500}
    assert theirs == {row for rows in design.set_rows(section).values() for row in rows}


def test_missing_cells_and_one_seed_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="how_many: expected .* are missing: tiny / mix_v500_ccg"):
        study(tmp_path, drop=1)
    with pytest.raises(StudyError, match="two seeds at least"):
        study(tmp_path, seeds=(1,))


def test_rows_are_shared_and_named_by_content() -> None:
    orders = design.random_rows(SECTION)
    assert len(orders) == 3 and all(set(order) == {1, 3} for order in orders)
    for order in orders:
        one, three = (mixture(order[size]) for size in (1, 3))
        assert one and three and set(one.tasks) < set(three.tasks) and three.examples == 500
    assert design.best_rows(SECTION, TASKS)[5] == design.best_rows(SECTION, TASKS[::-1])[5]


GRID = {"seeds": [1, 2], "targets": ["xnli", "xquad"]}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tasks": ["mnli", "qqp", "cgc"]}, "tasks: no such task 'cgc', did you mean 'ccg'?"),
        ({"chance": {"xnli": 30}}, "chance: no such task of the study 'xnli'"),
        ({"chance": {"mnli": 90}, "best": {"mnli": 80}}, "chance: that of 'mnli', 90, is not below its best, 80"),
        ({"counts": [1, 2, 9]}, "counts: 9 of 5 tasks cannot be taken"),
        ({"counts": [1, 2, 5]}, "random_counts: 3 not among counts"),
        ({"seeds": [3]}, "seeds: expected two at least, found 3"),
        ({"targets": ["xnli"]}, "targets: expected two at least, found xnli"),
        ({"draws": 1}, "draws: expected at least 2, found 1"),
        ({"sets": 3, "random_counts": [1]}, "sets: a trend over sets needs two sizes"),
        ({"sets": 1}, "sets: expected at least 2, found 1"),
        ({"examples": 4}, "examples: 4 cannot be shared by 5 tasks"),
    ],
)
def test_a_wrong_section_is_refused_when_the_study_is_asked_for(changes: dict[str, Any], said: str) -> None:
    found = load(changed(studies={"how_many": {**SECTION, **GRID, **changes}})).study_problems["how_many"]
    assert any(problem.startswith(f"studies.how_many.{said}") for problem in found), found


def test_every_task_is_trained_alone_for_the_ranking() -> None:
    plan = load(changed(studies={"how_many": {**SECTION, **GRID}})).plans["how_many"]
    assert plan.trained == plan.mixed == tuple(TASKS)
    alone = set(design.alone_rows(SECTION).values())
    assert alone == {f"mix_v500_{task}" for task in TASKS}
    random = {row for order in design.random_rows(SECTION) for row in order.values()}
    assert set(plan.intermediates) == alone | random and len(plan.intermediates) == len(alone | random)
