"""How sure a gain is: a hierarchical bootstrap over seeds and examples, paired across rows. Pure numpy.

A score moves for two reasons: another training run (seed) and another test set (examples). Examples are drawn
anew by the bootstrap, languages stay. All rows and seeds of a target get the same draw, because they answered
the same questions; so do the languages of a parallel test set, whose questions are the same. Resampling the
seeds needs no drawing: with S seeds the variance of a mean over S drawn ones is (S - 1) / S times what it
should be, which is put right in closed form.

With differences d of two rows, D their mean over languages for each seed:

    V_seeds     = variance of D over seeds / S                (training, and what seeds do to examples)
    V_both      = variance over example draws of D - mean D, over seeds / (S - 1) / S    (counted twice below)
    V_examples  = variance over example draws of mean D, less V_both (at least 0)
    SE²         = V_seeds + V_examples                        (crossed random effects: Owen 2007, section 3)

The interval is mean D ± t · SE and p the matching two-sided test: percentiles of so few seeds would be far too
narrow. t has the harmonic mean of both levels' degrees of freedom, each weighted by its share of SE²: S - 1
where training is all that varies, so that the test is the paired t test over seeds, and nearly the normal where
examples are. (Satterthwaite's squared shares reject up to 8 % of true nulls with three seeds, these 4 to 6 %; far
in the tail, on which a correction over many cells depends, three seeds still reject up to twice too often, five do
not: benchmarks/null_simulation.py. Two seeds are for a first impression.)

With one seed the training variance is unseen, SE² is V_examples alone, and the test is the paired test over
examples: it says nothing about another training run.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from stiltgrid.analysis.statistics import t_p_value, t_quantile

DRAWS = 2000
CONFIDENCE = 0.95
CHUNK_BYTES = 64 * 2**20
ROUNDING = 1e-9

Value = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class LanguageCounts:
    """The counts of one language's examples.

    `counts` is (examples, rows, seeds, k); a score is a function of their sums over examples. `clusters` (examples,)
    numbers the resampling units: examples with the same number, also in several languages, are drawn together.
    """

    language: str
    clusters: np.ndarray
    counts: np.ndarray


@dataclass(frozen=True)
class Replicates:
    """Scores of one target: observed, (languages, rows, seeds), and under each resample of its examples.

    `drawn` is (draws, languages, rows, seeds); `examples` and `clusters` count the resampled units.
    """

    languages: tuple[str, ...]
    scores: np.ndarray
    drawn: np.ndarray
    examples: np.ndarray
    clusters: int

    def difference(self, row: int, baseline: int, seeds: Sequence[int], languages: Sequence[int] = ()) -> "Difference":
        """One row less another, at some seeds (positions), over all or some languages (positions)."""
        some = np.asarray(languages if len(languages) else range(len(self.languages)))
        columns = np.asarray(seeds)
        scores, drawn = self.scores[some][..., columns], self.drawn[:, some][..., columns]
        return Difference(
            scores[:, row] - scores[:, baseline],
            drawn[:, :, row] - drawn[:, :, baseline],
            self.examples[some],
            self.clusters,
        )


@dataclass(frozen=True)
class Difference:
    """Paired differences: (languages, seeds), drawn (draws, languages, seeds), examples (languages,)."""

    scores: np.ndarray
    drawn: np.ndarray
    examples: np.ndarray
    clusters: int


@dataclass(frozen=True)
class Gain:
    """A mean difference with its 95 % interval and two-sided p-value; None where the data has no variance.

    `sd` is the standard deviation over seeds, None for one seed: `se`, `low`, `high` and `p` then cover examples only.
    """

    value: float
    seeds: int
    sd: float | None
    se: float | None
    df: float | None
    low: float | None
    high: float | None
    p: float | None

    @property
    def includes_training(self) -> bool:
        """Whether the interval includes the variance between training runs."""
        return self.seeds > 1


def replicate(
    languages: Sequence[LanguageCounts], value: Value, generator: np.random.Generator, draws: int = DRAWS
) -> Replicates:
    """Score every row and seed under `draws` resamples of the examples.

    `value` maps summed counts (..., k) to scores (...). Draws give each cluster an exponential weight (the
    Bayesian bootstrap, Rubin 1981): as resampling with replacement, but no draw leaves a small language empty.
    """
    clusters = 1 + max(int(item.clusters.max()) for item in languages)
    shape = (len(languages), *languages[0].counts.shape[1:3])
    drawn = np.empty((draws, *shape))
    for start, weights in _weights(generator, draws, clusters):
        for place, item in enumerate(languages):
            counts = item.counts.reshape(len(item.clusters), -1).astype(np.float64)
            sums = weights[:, item.clusters] @ counts
            drawn[start : start + len(weights), place] = value(sums.reshape(-1, *item.counts.shape[1:]))
    return Replicates(
        languages=tuple(item.language for item in languages),
        scores=np.stack([value(item.counts.sum(axis=0, dtype=np.float64)) for item in languages]),
        drawn=drawn,
        examples=np.asarray([len(item.clusters) for item in languages]),
        clusters=len(np.unique(np.concatenate([item.clusters for item in languages]))),
    )


def _weights(generator: np.random.Generator, draws: int, clusters: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (first draw, weights of mean 1, (draws, clusters)) in chunks that fit CHUNK_BYTES."""
    step = max(1, min(draws, CHUNK_BYTES // (8 * clusters)))
    for start in range(0, draws, step):
        yield start, generator.standard_exponential((min(step, draws - start), clusters))


def gain(difference: Difference) -> Gain:
    """Mean over languages and seeds of a difference, with its interval; see the module for the formulas."""
    by_seed = difference.scores.mean(axis=0)
    seeds = len(by_seed)
    value = float(by_seed.mean())
    sd = float(by_seed.std(ddof=1)) if seeds > 1 else None
    df_examples = _example_df(difference)
    if df_examples <= 0:
        return Gain(value, seeds, sd, None, None, None, None, None)
    # The Bayesian bootstrap's variance of a mean is (n - 1) / (n + 1) times the unbiased one.
    unbiased = (df_examples + 2) / df_examples
    drawn = difference.drawn.mean(axis=1)
    v_examples = float(drawn.mean(axis=1).var(ddof=1)) * unbiased
    v_seeds = 0.0
    if sd is not None:
        contrasts = drawn - drawn.mean(axis=1, keepdims=True)
        v_both = float(contrasts.var(axis=0, ddof=1).sum()) * unbiased / (seeds * (seeds - 1))
        v_examples = max(v_examples - v_both, 0.0)
        v_seeds = sd**2 / seeds
    return _interval(value, sd, seeds, v_seeds, v_examples, df_examples)


def _interval(
    value: float, sd: float | None, seeds: int, v_seeds: float, v_examples: float, df_examples: float
) -> Gain:
    variance = v_seeds + v_examples
    se = float(np.sqrt(variance))
    if se <= ROUNDING:
        alike = abs(value) <= ROUNDING  # no draw shows a difference, so this test set has none to show
        return Gain(value, seeds, sd, 0.0, None, *((value, value, 1.0) if alike else (None, None, None)))
    share = v_seeds / variance
    df = 1 / ((share / (seeds - 1) if seeds > 1 else 0.0) + (1 - share) / df_examples)
    half = t_quantile(CONFIDENCE, df) * se
    return Gain(value, seeds, sd, se, df, value - half, value + half, t_p_value(value / se, df))


def _example_df(difference: Difference) -> float:
    """Degrees of freedom of the example level: Welch's over languages, at most the clusters less one."""
    variances = difference.drawn.mean(axis=2).var(axis=0, ddof=1)
    sizes = difference.examples - 1.0
    if (sizes <= 0).all():
        return 0.0
    used = (sizes > 0) & (variances > 0)
    if not used.any():
        return float(sizes.max())
    welch = variances[used].sum() ** 2 / (variances[used] ** 2 / sizes[used]).sum()
    return float(min(welch, difference.clusters - 1))
