"""Writes raw text of the source as parquet."""

import logging
import os
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from stiltgrid.data.raw_text import SCHEMA, TEXTS_AT_ONCE
from stiltgrid.data.sources.base import Source
from stiltgrid.utils.errors import SourceError
from stiltgrid.utils.files import atomic_path

LOG = logging.getLogger(__name__)


def prepare_text(
    source: Source, languages: Sequence[str], characters: int | None, path: str | os.PathLike[str]
) -> None:
    """Write documents (columns language, text), at most `characters` a language; SourceError where there are none."""
    with atomic_path(path) as temporary, pq.ParquetWriter(str(temporary), SCHEMA) as writer:
        for language in languages:
            texts = list(_up_to(source.text(language), characters))
            if not texts:
                raise SourceError(f"no raw text for language '{language}'; leave it out of `pretrain: languages`")
            for start in range(0, len(texts), TEXTS_AT_ONCE):
                part = texts[start : start + TEXTS_AT_ONCE]
                writer.write_table(pa.table({"language": [language] * len(part), "text": part}, schema=SCHEMA))
            LOG.info("text of '%s': %d documents, %d characters", language, len(texts), sum(map(len, texts)))


def _up_to(texts: Iterator[str], characters: int | None) -> Iterator[str]:
    left = float("inf") if characters is None else characters
    for text in texts:
        left -= len(text)
        if left < 0:
            return
        yield text
