"""The grid and its parts other than task cards: models, recipes, training settings, plans of studies."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.display import Display
from stiltgrid.grid.params import QUIET
from stiltgrid.grid.target_caps import uncapped

NONE = "none"
MIXTURE = "mix_"  # prefix of the studies' rows that are named after what they mix: mix_v2000_mnli__qqp
BETWEEN = "__"


@dataclass(frozen=True)
class TrainingSettings:
    """Hyper-parameters of one stage. Lengths in tokens, shares in [0, 1], learning rate per step."""

    learning_rate: float = 1e-5
    batch_size: int = 32
    epochs: float = 3.0
    max_steps: int | None = None
    warmup_share: float = 0.1
    weight_decay: float = 0.01
    adam_epsilon: float = 1e-8
    max_grad_norm: float = 1.0
    examples: int | None = None
    max_length: int | None = None
    evaluate_every: int | None = None
    patience: int | None = 30
    dev_examples: int | None = 500
    dev_share: float | None = 0.05
    micro_batch_tokens: int = 16384
    precision: str = "auto"
    gradient_checkpointing: bool = False
    optimizer: str = "adamw"
    lora: Mapping[str, Any] | None = field(default=None, metadata=QUIET)
    freeze: str | None = field(default=None, metadata=QUIET)
    checkpoint_precision: str = field(default="trained", metadata=QUIET)
    cuda_graphs: bool = field(default=True, metadata=QUIET)

    def override(self, changes: Mapping[str, Any]) -> "TrainingSettings":
        """These settings with some fields replaced."""
        return replace(self, **changes)


@dataclass(frozen=True)
class Model:
    """A backbone. Exactly one of `hub`, `path` and `pretrain` says where its weights come from.

    `pooling` None means `architectures.default_pooling`. `convert`: its weights are pickled and converted once.
    """

    name: str
    hub: str | None = None
    revision: str | None = None
    path: str | None = None
    convert: bool = False
    pretrain: Mapping[str, Any] | None = None
    pooling: str | None = None
    retrieval_pooling: str = "mean"
    retrieval_layer: int | None = None
    retrieval_centred: bool = False
    licence: str | None = None


def model_view(model: Model, stage: str) -> dict[str, Any]:
    """What `stage` (train or score) reads of a model's settings, as plain containers."""
    names: tuple[str, ...] = ("name", "pooling")
    if stage == "score":
        names += ("retrieval_pooling", "retrieval_layer", "retrieval_centred")
    return {name: getattr(model, name) for name in names}


@dataclass(frozen=True)
class Recipe:
    """How one row of the grid is trained: the tasks of the intermediate stage and how they are mixed.

    `none` has no tasks. `sampling` is proportional (to the number of examples, up to `cap`, as in T5), temperature
    (n ** (1 / temperature)) or uniform; it has no effect on a single task. `examples` is a total over all tasks or a
    number for each task. Where fewer exist, `upsample` True repeats some, False is an error, and None uses those that
    exist. `languages` and `data` select the training rows of each task (see `recipes.Variant`), and `mlm` describes
    interleaved language modelling. A step of a chain starts from the checkpoint of the row `after` and uses the
    training settings of the row `base`.
    """

    name: str
    tasks: tuple[str, ...] = ()
    sampling: str = "proportional"
    cap: int | None = None
    temperature: float = 1.0
    examples: int | Mapping[str, int] | None = None
    upsample: bool | None = field(default=None, metadata=QUIET)
    languages: Mapping[str, tuple[str, ...]] | None = field(default=None, metadata=QUIET)
    data: Mapping[str, str] | None = field(default=None, metadata=QUIET)
    mlm: Mapping[str, Any] | None = field(default=None, metadata=QUIET)
    after: str | None = field(default=None, metadata=QUIET)
    base: str | None = field(default=None, metadata=QUIET)


def mixture_name(tasks: Iterable[str], examples: int | None = None) -> str:
    """Name of the row that mixes tasks evenly, with `examples` in total (None: all that they have).

    The name holds the content, so two studies with the same mixture share its jobs.
    """
    volume = "" if examples is None else f"v{examples}_"
    return f"{MIXTURE}{volume}{BETWEEN.join(sorted(tasks))}"


def mixture_pattern(tasks: Iterable[str]) -> str:
    """A regular expression for the names of all mixtures of some tasks."""
    task = f"(?:{'|'.join(sorted(tasks))})"
    return f"{MIXTURE}(?:v[1-9][0-9]*_)?{task}(?:{BETWEEN}{task})*"


def mixture(name: str) -> Recipe | None:
    """The recipe of a mixture, from its name; None for any other name."""
    if not name.startswith(MIXTURE):
        return None
    volume, tasks = "", name.removeprefix(MIXTURE)
    if tasks.startswith("v") and tasks[1:].partition("_")[0].isdecimal():
        volume, _, tasks = tasks[1:].partition("_")
    return Recipe(name, tuple(tasks.split(BETWEEN)), sampling="uniform", examples=int(volume) if volume else None)


@dataclass(frozen=True)
class Plan:
    """The cells that a study reads: models x intermediates x targets x seeds. It shares jobs with the grid.

    `trained` are rows that the study needs trained but not scored; `recipes` and `own_models` exist in the study only.
    `mixed` are tasks whose mixtures (`mixture_name`) the study selects after other rows have run.
    """

    models: tuple[str, ...]
    intermediates: tuple[str, ...]
    targets: tuple[str, ...]
    seeds: tuple[int, ...]
    trained: tuple[str, ...] = ()
    mixed: tuple[str, ...] = ()
    recipes: Mapping[str, Recipe] = field(default_factory=dict)
    own_models: Mapping[str, Model] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """How many examples of each evaluation split are scored (None: all), and the tokens of one forward pass.

    Without `batch_tokens` the job, which knows the device, chooses the number (see `evaluation.batches`).
    """

    examples: int | None = None
    batch_tokens: int | None = None


@dataclass(frozen=True)
class Grid:
    """The whole experiment: models × intermediates × targets × seeds over a catalogue of cards.

    A study has either a plan or problems (`study_problems`), which are reported when the study is requested; so are the
    problems of `selection`.
    """

    source: str
    data_dir: str | None
    world: Mapping[str, Any]
    models: Mapping[str, Model]
    intermediates: tuple[str, ...]
    targets: tuple[str, ...]
    seeds: tuple[int, ...]
    recipes: Mapping[str, Recipe]
    cards: Mapping[str, TaskCard]
    training: Mapping[str, Any]
    evaluation: Mapping[str, Any]
    keep_tuned: bool = True
    studies: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    plans: Mapping[str, Plan] = field(default_factory=dict)
    study_problems: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    estimate: Mapping[str, Any] = field(default_factory=dict)
    selection: Mapping[str, Any] | None = None
    selection_problems: tuple[str, ...] = ()
    tracker: str | None = None
    push: Mapping[str, Any] = field(default_factory=dict)
    display: Display = field(default_factory=Display)

    @property
    def own_models(self) -> tuple[str, ...]:
        """The models of the grid itself, without those that only a study has."""
        others = {name for plan in self.plans.values() for name in plan.own_models}
        return tuple(name for name in self.models if name not in others)

    @property
    def all_intermediates(self) -> tuple[str, ...]:
        """Every row that has a checkpoint: the grid's, the studies', and the steps of their chains."""
        rows = (name for plan in self.plans.values() for name in (*plan.intermediates, *plan.trained))
        asked = dict.fromkeys(map(uncapped, (*self.intermediates, *rows)))
        return tuple(dict.fromkeys((*asked, *(step for name in asked for step in self.chain(name)))))

    @property
    def all_targets(self) -> tuple[str, ...]:
        """Every column: the grid's, then the studies'."""
        columns = (name for plan in self.plans.values() for name in plan.targets)
        return tuple(dict.fromkeys((*self.targets, *columns)))

    def view(self, study: str) -> "Grid":
        """The cells of a study as a grid of their own."""
        plan = self.plans[study]
        return replace(
            self,
            models={name: self.models[name] for name in plan.models},
            intermediates=plan.intermediates,
            targets=plan.targets,
            seeds=plan.seeds,
            plans={},
        )

    def recipe(self, intermediate: str) -> Recipe:
        """The recipe of a row: a named recipe, `none`, a mixture or a single task."""
        intermediate = uncapped(intermediate)
        if intermediate in self.recipes:
            return self.recipes[intermediate]
        if intermediate == NONE:
            return Recipe(NONE)
        mixed = mixture(intermediate)
        if mixed:
            return mixed
        return Recipe(intermediate, tasks=(intermediate,))

    def chain(self, intermediate: str) -> tuple[str, ...]:
        """The rows that a chain trains one after another, the row itself last."""
        steps = [intermediate]
        while (before := self.recipe(steps[0]).after) is not None:
            steps.insert(0, before)
        return tuple(steps)

    def training_for(self, stage: str, task: str) -> TrainingSettings:
        """Settings of a task in a stage: `all`, then the stage, then the task's `all` and stage; later ones win."""
        own = self.training.get("tasks", {}).get(task, {})
        layers = (self.training.get("all", {}), self.training.get(stage, {}), own.get("all", {}), own.get(stage, {}))
        settings = TrainingSettings()
        for layer in layers:
            settings = settings.override(layer)
        return settings

    def evaluation_for(self, target: str) -> Evaluation:
        """Evaluation settings of a target: its own under `tasks` override the common ones."""
        common = {key: value for key, value in self.evaluation.items() if key != "tasks"}
        return Evaluation(**{**common, **self.evaluation.get("tasks", {}).get(target, {})})

    def languages(self, task: str) -> tuple[str, ...]:
        """Languages that a task is scored in."""
        return self.cards[task].languages

    def eval_splits(self, target: str) -> tuple[str, ...]:
        """The splits of a target that are scored."""
        return self.cards[target].scored_splits(self.source)

    def headline_split(self, target: str) -> str:
        """The split of a target's headline score."""
        return self.cards[target].headline(self.source)

    def origin_cards(self, task: str) -> dict[str, TaskCard]:
        """The other cards whose rows a task uses, by name."""
        names = sorted({name for origins in self.cards[task].rows.values() for name in origins} - {task})
        return {name: self.cards[name] for name in names}

    def trained_tasks(self) -> tuple[str, ...]:
        """Every task that some stage of this grid trains on, sorted."""
        rows = {task for name in self.all_intermediates for task in self.recipe(name).tasks}
        columns = {task for name in self.all_targets for task in self.cards[name].train}
        return tuple(sorted(rows | columns))
