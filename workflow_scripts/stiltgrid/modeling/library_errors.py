"""One guard for calls into transformers, tokenizers and safetensors, which raise many kinds of exceptions."""

import contextlib
from collections.abc import Iterator

from stiltgrid.utils.errors import SourceError, StiltgridError


@contextlib.contextmanager
def library_errors(problem: str) -> Iterator[None]:
    """Turn any exception of the block into a SourceError: `problem`, then the exception's type and text."""
    try:
        yield
    except StiltgridError:
        raise
    except Exception as error:
        raise SourceError(f"{problem} ({type(error).__name__}: {error})") from error
