"""The README.md of an exported model: metadata that the hub reads, then data, recipe, scores, licences and use."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stiltgrid.reporting.exported_results import TargetResult

CARD = "README.md"
NOT_READ = "not read"
UNKNOWN_LICENCE = "other"
SYNTHETIC = (
    "**Synthetic.** This model was trained and scored on the synthetic data of stiltgrid's mini-lab. Its scores say "
    "nothing about real languages or tasks."
)
# What the hub calls the tasks of a family.
HUB_TASKS: Mapping[str, str] = {
    "sequence": "text-classification", "tagging": "token-classification", "span": "question-answering",
    "choice": "multiple-choice", "embedding": "sentence-similarity", "dual": "sentence-similarity",
}  # fmt: skip


@dataclass(frozen=True)
class TaskFacts:
    """The facts about a task in a model card; `hub` and `revision` are None for local data."""

    name: str
    about: str
    citation: str
    languages: tuple[str, ...]
    source: str
    hub: str | None = None
    revision: str | None = None
    licence: str | None = None
    family: str = "sequence"


@dataclass(frozen=True)
class CardFacts:
    """The facts about an exported model in its card, apart from its scores and training logs.

    `recipe` and `tasks` describe the row's intermediate stage, `trained` the tasks that the model was then tuned on;
    `targets` are those that the card has scores of. `base` is a repository on the hub, `folder` the name of a folder
    that the model was taken from; neither where it was pretrained in this grid.
    """

    model: str
    intermediate: str
    seed: int
    base: str | None
    revision: str | None
    licence: str | None
    recipe: Mapping[str, Any]
    tasks: tuple[TaskFacts, ...]
    trained: tuple[TaskFacts, ...] = ()
    targets: tuple[TaskFacts, ...] = ()
    synthetic: bool = False
    folder: str | None = None

    @property
    def name(self) -> str:
        """What the model is called in its card."""
        steps = [self.model, *(f"after {self.intermediate}" for _ in self.tasks[:1])]
        tuned = [f"tuned on {' and '.join(task.name for task in self.trained)}"] if self.trained else []
        return f"{' '.join([steps[0], *steps[1:]])}{', ' if tuned else ''}{''.join(tuned)}, seed {self.seed}"


@dataclass(frozen=True)
class CardText:
    """What differs between kinds of export: what the model is, how it is used, and for which library and task."""

    about: str
    use: str
    library: str
    pipeline: str
    scores_about: str
    by_language: bool = True


def facts_from_params(params: Mapping[str, Any]) -> CardFacts:
    """Facts from a job's params."""
    content = dict(params)
    for key in ("tasks", "trained", "targets"):
        content[key] = tuple(
            TaskFacts(**{**task, "languages": tuple(task["languages"])}) for task in content.get(key, ())
        )
    return CardFacts(**content)


def model_card(
    facts: CardFacts, text: CardText, logs: Sequence[Mapping[str, Any]], results: Sequence[TargetResult]
) -> str:
    """The whole README.md. `logs` are the training.json of the stages that made the model, first to last."""
    data = {task.name: task for task in (*facts.tasks, *facts.trained)}
    parts = [
        f"---\n{_metadata(facts, text, results)}\n---",
        f"# {facts.name}",
        *([SYNTHETIC] if facts.synthetic else []),
        text.about,
        f"Base: {_base(facts)}. Seed: {facts.seed}.",
        "## Use",
        text.use,
        "## Scores",
        *_scores(facts, text, results),
        "## Training data",
        _table(
            ("task", "what", "languages", "from", "licence", "citation"),
            [_data(task) for task in data.values()],
        ) if data else "None but the base model's.",
        "## Training",
        f"Recipe of the row `{facts.intermediate}`:",
        _code(facts.recipe),
        *(part for log in logs for part in _stages(log)),
        "## Licence",
        f"Base model: {facts.licence or _unstated(facts)}. The data sets above have licences of their own, some of "
        f"them for research only: check each before you pass this model on. Where the table says *{NOT_READ}*, nobody "
        "has read the publisher's licence for this project.",
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _metadata(facts: CardFacts, text: CardText, results: Sequence[TargetResult]) -> str:
    """YAML for the hub, with the scores as `model-index`."""
    from huggingface_hub import EvalResult, ModelCardData

    families = {task.name: task for task in facts.targets}
    found = []
    for result in results:
        task = families[result.target]
        name = f"{result.target} (synthetic)" if facts.synthetic else result.target
        common: dict[str, Any] = {
            "task_type": HUB_TASKS[task.family], "dataset_type": task.hub or result.target, "dataset_name": name,
            "dataset_split": result.split, "dataset_revision": task.revision, "metric_type": result.metric,
        }  # fmt: skip
        mean = f"mean of {len(result.languages)} languages"
        found.append(EvalResult(**common, dataset_config=mean, metric_value=round(result.score, 4)))
        for code, (value, _) in result.languages.items() if text.by_language else ():
            found.append(EvalResult(**common, dataset_config=code, metric_value=round(value, 4)))
    languages = {code for task in (*facts.tasks, *facts.trained) for code in task.languages}
    languages |= {code for result in results for code in result.languages} if text.by_language else set()
    tags = ["intermediate-task-training", facts.intermediate, *(["synthetic"] if facts.synthetic else [])]
    data = ModelCardData(
        language=sorted(languages) or None,
        library_name=text.library,
        pipeline_tag=text.pipeline,
        tags=tags,
        datasets=sorted({task.hub for task in (*facts.tasks, *facts.trained) if task.hub}) or None,
        base_model=facts.base,
        model_name=facts.name if found else None,
        eval_results=found or None,
        **_licence(facts),
    )
    return data.to_yaml().strip()


def _licence(facts: CardFacts) -> dict[str, Any]:
    """The base's licence where all data has the same one; otherwise `other`, explained in the card."""
    base = (facts.licence or "").lower()
    alike = {(task.licence or NOT_READ).lower() for task in (*facts.tasks, *facts.trained)} <= {base}
    if base and alike:
        return {"license": base}
    return {"license": UNKNOWN_LICENCE, "license_name": "base-model-and-data"}


def _scores(facts: CardFacts, text: CardText, results: Sequence[TargetResult]) -> Iterator[str]:
    if not results:
        yield "None yet."
        return
    yield f"Points from 0 to 100. {text.scores_about}"
    head = (
        "target",
        "metric",
        "split",
        "languages",
        "n",
        "score",
        "gain",
        "gain of all seeds",
        "95 % interval",
        "remark",
    )
    yield _table(head, [_result(result, facts.synthetic) for result in results])
    yield (
        "The score is the mean over the target's languages. `gain` is over the same model and seed without "
        "intermediate training, and `gain of all seeds` its mean with a bootstrap interval over seeds and examples."
    )
    if text.by_language:
        lines = [(result.target, code, str(n), f"{value:.1f}")
                 for result in results for code, (value, n) in result.languages.items()]  # fmt: skip
        yield _table(("target", "language", "n", "score"), lines)


def _result(result: TargetResult, synthetic: bool) -> list[str]:
    def signed(value: float | None) -> str:
        return "" if value is None else f"{value:+.1f}"

    interval = "" if result.low is None else f"{result.low:+.1f} to {result.high:+.1f}"
    remark = "; ".join([*(["synthetic"] if synthetic else []), *([result.remark] if result.remark else [])])
    n = sum(count for _, count in result.languages.values())
    gains = [signed(result.gain), signed(result.cell_gain), interval, remark]
    return [
        result.target,
        result.metric,
        result.split,
        str(len(result.languages)),
        str(n),
        f"{result.score:.1f}",
        *gains,
    ]


def _base(facts: CardFacts) -> str:
    """Where the weights that were fine-tuned came from."""
    if facts.base:
        return f"`{facts.base}`" + (f" at `{facts.revision}`" if facts.revision else "")
    return f"the folder `{facts.folder}`, not on the hub" if facts.folder else "made here"


def _unstated(facts: CardFacts) -> str:
    if facts.folder:
        return "licence not stated here (`licence` of the model in the configuration states it); see where it came from"
    return "licence not stated here; see its own page" if facts.base else "trained here, no licence of its own"


def _data(task: TaskFacts) -> list[str]:
    return [task.name, task.about, " ".join(task.languages), _origin(task), task.licence or NOT_READ, task.citation]


def _origin(task: TaskFacts) -> str:
    if task.hub is None:
        return task.source
    return f"{task.hub}" + (f" at {task.revision}" if task.revision else "")


def _stages(log: Mapping[str, Any]) -> Iterator[str]:
    """A paragraph and the settings per stage of a training log, then what the log says of code and versions."""
    for stage in log.get("stages", ()):
        words = [f"Stage `{stage.get('name')}`"]
        if "planned_steps" in stage:
            words.append(f"{stage['planned_steps']} steps planned, weights of step {stage.get('best_step')} kept")
        if stage.get("best_score") is not None:
            words.append(f"best development score {stage['best_score']:.1f}")
        counts = [f"{task['name']} {task['examples']}" for task in stage.get("tasks", ()) if "examples" in task]
        yield "; ".join([*words, *([f"training examples: {', '.join(counts)}"] if counts else [])]) + "."
        yield _code(stage.get("settings", {}))
    origin = {key: log[key] for key in ("provenance", "seed", "dtype", "device", "versions") if key in log}
    if origin:
        yield "Provenance of these stages:"
        yield _code(origin)


def _code(value: Mapping[str, Any]) -> str:
    return f"```json\n{json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, default=str)}\n```"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(field).replace("|", "\\|") for field in line) + " |" for line in lines)
