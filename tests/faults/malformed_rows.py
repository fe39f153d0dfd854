"""Malformed rows of data, in files of the local source."""

import gzip
import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from malformed import CARDS, COMMON, CONFIG, ROWS, Case, row, rows_file

TYPES, FILES, JSON, CARD = "fields of rows", "files of rows", "JSON", "rows against their card"
TABLES, CONLL, LABELS = "CSV and TSV", "CoNLL", "tables with names of labels"
SPAN = ROWS["span"]
CSV, CSV_FILE = "text,label\n", "train.en.csv"
TAGS: dict[str, Any] = {"file": "train.en.conll", "family": "tagging"}
NAMED = {"local": {**COMMON["local"], "conll": {"tokens": 1, "tags": 2}}}


def parquet(columns: dict[str, list[Any]], names: list[str]) -> bytes:
    """A parquet file whose column `label` has names, as the library `datasets` writes it."""
    features = {"label": {"names": names, "_type": "ClassLabel"}}
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    out = io.BytesIO()
    pq.write_table(pa.table(columns).replace_schema_metadata(metadata), out)
    return out.getvalue()


def answers(name: str, expected: str, **changes: Any) -> Case:
    """A case of a span row's answers."""
    found = {**SPAN["answers"], **changes}
    return row(TYPES, name, expected, family="span", answers=found)


CASES = [
    # ---- sequence
    row(TYPES, "a text that is null", "text", text=None),
    row(TYPES, "a text that is a number", "text", text=17),
    row(TYPES, "a text that is not a number", "text", text=float("nan")),
    row(TYPES, "a text that is a list", "text", text=["All", "of", "it"]),
    row(TYPES, "an empty text", "text", text=""),
    row(TYPES, "half an emoji", "train.en.jsonl", text="\ud83d"),
    row(TYPES, "a label that is unknown", "did you mean 'good'?", label="goood"),
    row(TYPES, "a label of another case", "label 'GOOD' is not in card", label="GOOD"),
    row(TYPES, "a label that is null", "label", label=None),
    row(TYPES, "a label that is a list", "label", label=["good"]),
    row(TYPES, "a label that is true", "label", label=True),
    row(TYPES, "a label number that is no label", "label", card={"label_values": [0, 1]}, label=7),
    row(TYPES, "a label number with a fraction", "label", card={"label_values": [0, 1]}, label=0.5),
    rows_file(TYPES, "a row without its text", "text", [ROWS["sequence"], {"label": "good"}]),
    rows_file(TYPES, "a row without its label", "label", [ROWS["sequence"], {"text": "Fine."}]),
    rows_file(TYPES, "no column of the card", "no column", [{"sentence": "Fine.", "sentiment": "good"}]),
    # ---- span
    answers("an answer's start with a fraction", "answer_start", answer_start=[3.5]),
    answers("an answer's start that is text", "answer_start", answer_start=["sixteen"]),
    answers("an answer's start that is null", "answer_start", answer_start=[None]),
    answers("an answer's start that is true", "answer_start", answer_start=[True]),
    answers("an answer's start that is negative", "-5", answer_start=[-5]),
    answers("an answer's start behind the context", "4000", answer_start=[4000]),
    answers("an answer that is not at its start", "1843", answer_start=[2]),
    answers("more answers than starts", "answer", text=["1843", "Ada"]),
    answers("answers that are one text", "answers", text="1843", answer_start=16),
    answers("an answer that is null", "answer", text=[None]),
    answers("no answer where the card wants one", "answer", text=[], answer_start=[]),
    answers("an empty answer where the card wants one", "answer", text=[""], answer_start=[-1]),
    row(TYPES, "answers that are null", "answers", family="span", answers=None),
    row(TYPES, "answers that are a list of texts", "answers", family="span", answers=["1843"]),
    row(TYPES, "an id that is there twice", "id", family="span", id="1"),
    row(TYPES, "an id that is a list", "id", family="span", id=[1]),
    row(TYPES, "a context that is null", "context", family="span", context=None),
    row(TYPES, "a question that is a number", "question", family="span", question=5),
    # ---- tagging
    row(TYPES, "tags that are null", "tags", family="tagging", tags=None),
    row(TYPES, "tags that are one text", "tags", family="tagging", tags="B-PER O O"),
    row(TYPES, "fewer tags than tokens", "tags", family="tagging", tags=["B-PER", "O"]),
    row(TYPES, "a tag that is null", "line 2", family="tagging", tags=["B-PER", None, "O"]),
    row(TYPES, "tags within tags", "tags", family="tagging", tags=[["B-PER"], "O", "O"]),
    row(TYPES, "an unknown tag", "did you mean 'B-PER'?", family="tagging", tags=["B-PERS", "O", "O"]),
    row(TYPES, "a tag number that is no tag", "line 2", family="tagging", tags=[0, 9, 0]),
    row(TYPES, "tokens that are one text", "tokens", family="tagging", tokens="Ada went home"),
    row(TYPES, "a token that is null", "tokens", family="tagging", tokens=["Ada", None, "home"]),
    row(TYPES, "no token", "tokens", family="tagging", tokens=[], tags=[]),
    # ---- choice
    row(TYPES, "an option that is null", "two", family="choice", two=None),
    row(TYPES, "an option that is a number", "two", family="choice", two=3),
    row(TYPES, "a context that is a list", "context", family="choice", context=["It rained."]),
    row(TYPES, "a label that is no option", "label", family="choice", label="third"),
    # ---- JSON
    rows_file(JSON, "a key twice", "train.en.jsonl", '{"text": "Fine.", "label": "bad", "label": "good"}\n'),
    rows_file(JSON, "a line that is cut short", "line 2", json.dumps(ROWS["sequence"]) + '\n{"text": "Fi\n'),
    rows_file(JSON, "a line that is a list", "line 1", '["Fine.", "good"]\n'),
    rows_file(JSON, "a line that is a number", "line 1", "17\n"),
    rows_file(
        JSON, "lists 20,000 deep", "train.en.jsonl", '{"text": ' + "[" * 20_000 + "]" * 20_000 + ', "label": "good"}\n'
    ),
    rows_file(JSON, "a number of 5,000 digits", "train.en.jsonl", '{"text": "Fine.", "label": ' + "9" * 5_000 + "}\n"),
    rows_file(JSON, "one list for the whole file", "line 1", json.dumps([ROWS["sequence"]])),
    rows_file(JSON, "Latin-1", "UTF-8", '{"text": "Schön.", "label": "good"}\n'.encode("latin-1")),
    rows_file(JSON, "UTF-16", "UTF-8", '{"text": "Fine.", "label": "good"}\n'.encode("utf-16")),
    rows_file(JSON, "bytes of zero", "train.en.jsonl", b"\x00" * 64),
    # ---- files
    rows_file(FILES, "an empty file", "found an empty file", "\n"),
    rows_file(FILES, "a parquet file that is none", "train.en.parquet", "PAR1", file="train.en.parquet"),
    rows_file(FILES, "a gzip file that is none", "train.en.jsonl.gz", '{"text": "a"}\n', file="train.en.jsonl.gz"),
    rows_file(
        FILES,
        "a gzip file that is cut short",
        "train.en.jsonl.gz",
        gzip.compress(b'{"text": "Fine.", "label": "good"}\n' * 500)[:40],
        file="train.en.jsonl.gz",
    ),
    Case(
        FILES,
        "two files for one split",
        "train.en.jsonl",
        files={
            "data/own/train.en.json.gz": b"",
            "data/own/train.en.jsonl.gz": gzip.compress(json.dumps(ROWS["sequence"]).encode()),
        },
    ),
    Case(
        FILES,
        "a folder that is not there",
        "elsewhere",
        files={
            "tasks/own.yaml": yaml.safe_dump({**CARDS["sequence"], "local": {**COMMON["local"], "folder": "elsewhere"}})
        },
    ),
    Case(
        FILES,
        "a spreadsheet beside no file that is read",
        "read are .jsonl.gz",
        files={
            "tasks/own.yaml": yaml.safe_dump({**CARDS["sequence"], "local": {**COMMON["local"], "folder": "mine"}}),
            "data/mine/train.en.xlsx": b"PK",
        },
    ),
    Case(FILES, "a mirror that is not there", "data_dir", config={**CONFIG, "data_dir": "nowhere"}),
    # ---- CSV and TSV
    rows_file(
        TABLES, "a record with a cell too many", "line 2: expected 2 cells", CSV + "Fine.,good,1\n", file=CSV_FILE
    ),
    rows_file(
        TABLES, "a record with a cell too few", "line 3: expected 2 cells", CSV + "Fine.,good\nBad.\n", file=CSV_FILE
    ),
    rows_file(
        TABLES, "a quote that is never closed", "line 2: expected cells", CSV + '"Fine.,good\nBad.,bad\n', file=CSV_FILE
    ),
    rows_file(
        TABLES, "a quote in the middle of a cell", "line 2: expected cells", CSV + '"Fi"ne.,good\n', file=CSV_FILE
    ),
    rows_file(TABLES, "semicolons for commas", "`delimiter: ';'`", "text;label\nFine.;good\n", file=CSV_FILE),
    rows_file(TABLES, "a header alone", "found an empty file", CSV, file=CSV_FILE),
    rows_file(TABLES, "no header", "no column", "Fine.,good\nBad.,bad\n", file=CSV_FILE),
    rows_file(TABLES, "two columns of one name", "found 'text' twice", "text,text\nFine.,good\n", file=CSV_FILE),
    rows_file(TABLES, "an empty cell for a text", "text", CSV + ",good\n", file=CSV_FILE),
    rows_file(TABLES, "an empty cell for a label", "label", CSV + "Fine.,\n", file=CSV_FILE),
    rows_file(TABLES, "nan for a label", "label 'nan' is not in card", CSV + "Fine.,nan\n", file=CSV_FILE),
    rows_file(TABLES, "CSV in UTF-16", "found UTF-16", (CSV + "Fine.,good\n").encode("utf-16"), file=CSV_FILE),
    rows_file(TABLES, "CSV in Latin-1", "UTF-8", (CSV + "Schön.,good\n").encode("latin-1"), file=CSV_FILE),
    rows_file(
        TABLES,
        "a quotation mark of which a TSV file does not say what it is",
        "`quoting: false`",
        'text\tlabel\n"Fine".\tgood\n',
        file="train.en.tsv",
    ),
    rows_file(
        TABLES,
        "answers as Python writes a dictionary",
        "expected JSON",
        "id,context,question,answers\n1,Ada.,Who?,\"{'text': array(['Ada'])}\"\n",
        file=CSV_FILE,
        family="span",
    ),
    rows_file(
        TABLES,
        "one column where the card wants a list",
        "expected a list of texts",
        "tokens,tags\nAda went,B-PER O\n",
        file=CSV_FILE,
        family="tagging",
    ),
    # ---- CoNLL
    rows_file(CONLL, "columns that the card does not name", "`conll: {tokens: 1, tags: 4}`", "Ada B-PER\n", **TAGS),
    rows_file(
        CONLL, "a line with a column too few", "line 2: expected 2 columns", "Ada B-PER\nwent\n", **TAGS, card=NAMED
    ),
    rows_file(
        CONLL,
        "a column that is not there",
        "expected column 4 ('tags')",
        "Ada B-PER\n",
        **TAGS,
        card={"local": {**COMMON["local"], "conll": {"tokens": 1, "tags": 4}}},
    ),
    rows_file(CONLL, "an unknown tag in a file", "did you mean 'B-PER'?", "Ada B-PERS\n", **TAGS, card=NAMED),
    rows_file(CONLL, "blank lines alone", "found an empty file", "\n\n\n", **TAGS, card=NAMED),
    # ---- parquet
    rows_file(
        LABELS,
        "label names that are not the card's",
        "label names no, yes",
        parquet({"text": ["Fine."], "label": [0]}, ["no", "yes"]),
        file="train.en.parquet",
    ),
    rows_file(
        LABELS,
        "a table without the card's column",
        "reads column 'text'",
        parquet({"sentence": ["Fine."], "label": [0]}, ["bad", "good"]),
        file="train.en.parquet",
    ),
]
