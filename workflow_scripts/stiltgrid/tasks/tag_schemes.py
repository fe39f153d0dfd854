"""Tag schemes of tagging cards: the labels that are valid in each, the metrics that each has, and checks of a card."""

from collections.abc import Mapping, Sequence
from typing import Any

DEFAULT, STRICT, XTREME = "default", "strict", "seqeval-0.0.12"  # values of the option `chunks`
PLAIN = "plain"
# Prefixes of each scheme's tags, O aside; tags of the scheme plain have none.
SCHEMES: Mapping[str, str] = {"bio": "BI", "bioes": "BIES"}


def scheme_of(options: Mapping[str, Any]) -> str:
    """The scheme of a tagging card's options."""
    return str(options.get("scheme", PLAIN))


def chunk_rule(options: Mapping[str, Any]) -> str:
    """The rule by which tags form chunks; see `metrics.chunks`."""
    return str(options.get("chunks", DEFAULT))


def metrics_of(options: Mapping[str, Any]) -> tuple[str, ...]:
    """The metrics of a tagging card: chunk F1 only where its tags form chunks."""
    if scheme_of(options) in SCHEMES:
        return "f1", "precision", "recall", "accuracy"
    return ("f1", "accuracy", "macro_f1") if chunk_rule(options) == XTREME else ("accuracy", "macro_f1")


def tagging_problems(labels: Sequence[str], options: Mapping[str, Any], metric: str) -> list[str]:
    """What is wrong with a tagging card's labels, options and metric; empty where nothing is."""
    scheme, from_data = scheme_of(options), bool(options.get("labels_from_data"))
    problems = []
    if not labels and not from_data:
        problems.append("labels: must not be empty unless options.labels_from_data collects them")
    if from_data and (scheme != PLAIN or "chunks" in options):
        problems.append(
            "options.labels_from_data: expected scheme plain without chunks, because its labels are not known"
        )
    elif scheme == PLAIN and options.get("chunks", XTREME) != XTREME:
        problems.append(
            f"options.chunks: '{options['chunks']}' needs scheme bio or bioes, found {PLAIN}: its tags form no chunks "
            f"(except by '{XTREME}', XTREME's rule for UDPOS)"
        )
    elif metric not in metrics_of(options):
        problems.append(
            f"metric: scheme {scheme} has {', '.join(metrics_of(options))}, found '{metric}'"
            + ("; chunk F1 needs scheme bio or bioes" if metric == "f1" else "")
        )
    return problems + label_problems(labels, scheme)


def label_problems(labels: Sequence[str], scheme: str) -> list[str]:
    """The labels that do not fit the scheme, each with what was expected."""
    prefixes = SCHEMES.get(scheme)
    if prefixes is None:
        return []
    expected = ", ".join(["O", *(f"{prefix}-TYPE" for prefix in prefixes)])
    fit = [label for label in labels if label == "O" or _has_prefix(label, prefixes)]
    problems = [
        f"labels: '{label}' does not fit scheme {scheme}, expected {expected}; did you mean '{_near(label, prefixes)}'?"
        for label in labels
        if label not in fit
    ]
    begun = {label[2:] for label in fit if label[0] == "B"}
    orphans = {label[2:]: label for label in fit if label[0] in "IE" and label[2:] not in begun}
    return problems + [
        f"labels: '{label}' is listed without 'B-{type_}', with which its chunks begin"
        for type_, label in orphans.items()
    ]


def _has_prefix(label: str, prefixes: str) -> bool:
    return len(label) > 2 and label[0] in prefixes and label[1] == "-"


def _near(label: str, prefixes: str) -> str:
    prefix, _, type_ = label.partition("-")
    if label in ("", "o", "0", "-", "_"):
        return "O"
    if len(prefix) == 1 and prefix.upper() in prefixes:
        return f"{prefix.upper()}-{type_ or 'TYPE'}"
    return f"{prefixes[0]}-{type_ or label}"
