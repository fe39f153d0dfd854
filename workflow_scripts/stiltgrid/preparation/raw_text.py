"""Writes raw text for language modelling as parquet; read by `data.raw_text`."""

import logging
import os
from collections.abc import Iterator, Sequence
from itertools import islice

import pyarrow as pa

from stiltgrid.data.raw_text import BATCH, SCHEMA
from stiltgrid.data.sources.base import Source
from stiltgrid.utils.errors import SourceError
from stiltgrid.utils.files import atomic_path
from stiltgrid.utils.parquet import parquet_writer

LOG = logging.getLogger(__name__)


def prepare_text(
    source: Source, languages: Sequence[str], characters: int | None, path: str | os.PathLike[str]
) -> None:
    """Write documents (columns language, text), at most `characters` in each language.

    Raises SourceError for a language without documents.
    """
    with atomic_path(path) as temporary, parquet_writer(temporary, SCHEMA) as writer:
        for language in languages:
            documents = characters_written = 0
            texts = _up_to(source.text(language), characters)
            while batch := list(islice(texts, BATCH)):
                writer.write_table(pa.table({"language": [language] * len(batch), "text": batch}, schema=SCHEMA))
                documents, characters_written = documents + len(batch), characters_written + sum(map(len, batch))
            if not documents:
                raise SourceError(f"no raw text for language '{language}'; leave it out of `pretrain: languages`")
            LOG.info("text of '%s': %d documents, %d characters", language, documents, characters_written)


def _up_to(texts: Iterator[str], characters: int | None) -> Iterator[str]:
    """The first texts whose total length is at most `characters`."""
    left = float("inf") if characters is None else characters
    for text in texts:
        left -= len(text)
        if left < 0:
            return
        yield text
