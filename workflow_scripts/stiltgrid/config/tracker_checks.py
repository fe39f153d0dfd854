"""The configuration's tracker must be installed before a job needs it."""

from collections.abc import Iterator, Mapping
from importlib.util import find_spec

# Tracker -> (modules, one of which it needs; the package that pip installs).
PACKAGES: Mapping[str, tuple[tuple[str, ...], str]] = {
    "aim": (("aim",), "aim"),
    "clearml": (("clearml",), "clearml"),
    "comet_ml": (("comet_ml",), "comet-ml"),
    "dvclive": (("dvclive",), "dvclive"),
    "mlflow": (("mlflow",), "mlflow"),
    "swanlab": (("swanlab",), "swanlab"),
    "tensorboard": (("tensorboard", "tensorboardX"), "tensorboard"),
    "trackio": (("trackio",), "trackio"),
    "wandb": (("wandb",), "wandb"),
}


def tracker_problems(tracker: str | None) -> Iterator[str]:
    """That the tracker is not installed, with the command that installs it."""
    if tracker is None:
        return
    modules, package = PACKAGES[tracker]
    if not any(find_spec(module) for module in modules):
        yield f"tracker: '{tracker}' is not installed in this environment; run: pip install {package}"
