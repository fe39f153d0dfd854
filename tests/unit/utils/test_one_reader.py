"""The workflow's own files have one reader a format, which names a damaged file; nothing reads them around it."""

import re
from pathlib import Path

import pytest

LIBRARY = Path(__file__).parents[3] / "workflow_scripts" / "stiltgrid"
# Call -> the files that may contain it. Files of users and of the hub are read in data/sources.
READERS = {
    r"pq\.(read_table|read_schema|read_metadata|ParquetFile)|pd\.read_parquet": {"utils/parquet.py", "data/sources"},
    r"pq\.(write_table|ParquetWriter)": {"utils/parquet.py"},
    r"ipc\.open_file": {"modeling/encoded.py", "modeling/encoded_writer.py"},
}


@pytest.mark.parametrize("call", READERS)
def test_a_format_is_read_in_one_place(call: str) -> None:
    for path in sorted(LIBRARY.rglob("*.py")):
        name = path.relative_to(LIBRARY).as_posix()
        if re.search(call, path.read_text(encoding="utf-8").replace("-> pq.ParquetWriter", "")):
            assert any(name.startswith(allowed) for allowed in READERS[call]), f"{name} calls {call}"


def test_whoever_loads_weights_verifies_them() -> None:
    for path in sorted(LIBRARY.rglob("*.py")):
        content = path.read_text(encoding="utf-8")
        # resume.py has a checksum of its own; usage.py writes the code that a model card shows.
        if re.search(r"\b(load_file|safe_open)\(", content) and path.name not in ("resume.py", "usage.py"):
            assert "verify_weights(" in content, path
        if re.search(r"\b(save_file|save_pretrained)\(", content) and path.name != "resume.py":
            assert "seal_weights(" in content, path
