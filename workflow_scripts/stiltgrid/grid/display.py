"""Names for people, and which parts of figures are drawn. No number depends on them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Display:
    """Display names of tasks and recipes (`tasks`) and of models by name, and of the metric by target.

    A name without one is shown as it is. `banner` is the line that marks synthetic data in figures, `footer` the notes
    below them.
    """

    tasks: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    banner: bool = True
    footer: bool = True

    def task(self, name: str) -> str:
        """The name of a target, or of a row: a task or a recipe."""
        return self.tasks.get(name, name)

    def metric(self, target: str, name: str) -> str:
        """The name of a target's metric."""
        return self.metrics.get(target, name)

    def model(self, name: str) -> str:
        """The name of a model."""
        return self.models.get(name, name)

    @property
    def cropped(self) -> bool:
        """Whether figures leave out something, and lose the margin that it stands in."""
        return not (self.banner and self.footer)

    def only(self, target: str) -> "Display":
        """What a figure of one target depends on."""
        metrics = {target: self.metrics[target]} if target in self.metrics else {}
        return Display(self.tasks, metrics, self.models, self.banner, self.footer)


def display_from_params(params: Mapping[str, Any] | None) -> Display:
    """The inverse of `params.as_params(display)`; the default for None."""
    return Display(**params) if params else Display()
