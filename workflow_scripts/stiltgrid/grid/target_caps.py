"""Rows whose targets train on a limited number of examples: `mix_v2400_mnli__qqp@4000`.

A study asks for such rows (`target_examples`). They share the checkpoint of the row before the `@`, and have target
trainings and scores of their own. The names of the configuration have no `@`.
"""

MARK = "@"
PATTERN = f"{MARK}[1-9][0-9]*"  # what follows the name of a row, as a regular expression


def capped(row: str, examples: int | None) -> str:
    """The name of a row whose targets train on at most `examples` each; the row itself for None."""
    return row if examples is None else f"{row}{MARK}{examples}"


def uncapped(row: str) -> str:
    """The row that a capped row's checkpoint belongs to; any other row is its own."""
    return row.partition(MARK)[0]


def target_cap(row: str) -> int | None:
    """Training examples that each target of a row has at most; None for all."""
    number = row.partition(MARK)[2]
    return int(number) if number else None
