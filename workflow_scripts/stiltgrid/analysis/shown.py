"""Numbers as people read them: summary, plots and pages round the same way, from the number that the tables hold."""

from decimal import ROUND_HALF_UP, Decimal

MINUS = "\u2212"


def table_number(value: float) -> str:
    """A number as tables write it: four decimals, and no sign on zero."""
    return f"{round(value, 4) + 0.0:.4f}"


def points(value: float, signed: bool = False) -> str:
    """One decimal, rounded half up from the number of the tables, with a true minus sign; `signed`: + before gains.

    Rounding the table's number instead of the exact one makes a reader of `transfer.tsv` arrive at the same digits.
    """
    rounded = Decimal(table_number(value)).quantize(Decimal("0.1"), ROUND_HALF_UP)
    if not rounded:
        return "0.0"
    return f"{rounded:+}".replace("-", MINUS) if signed else str(rounded).replace("-", MINUS)
