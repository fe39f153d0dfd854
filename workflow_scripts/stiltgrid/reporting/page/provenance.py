"""What the foot of the page says about where the numbers come from, read from the cells' `metrics.json`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import stiltgrid


def provenance(predictions: Mapping[Any, Any]) -> dict[str, Any]:
    """Version of stiltgrid, and what the cells recorded: devices, versions of packages, digests of code, seconds.

    `missing` counts the cells without a record.
    """
    devices: set[str] = set()
    versions: dict[str, set[str]] = {}
    codes: set[str] = set()
    seconds, missing = 0.0, 0
    for path in predictions.values():
        record = Path(path).with_name("metrics.json")
        if not record.is_file():
            missing += 1
            continue
        found = json.loads(record.read_text(encoding="utf-8")).get("provenance", {})
        devices.add(str(found.get("device", "not recorded")))
        codes.add(str(found.get("code", "not recorded")))
        seconds += found.get("seconds", 0.0)
        for name, version in found.get("versions", {}).items():
            versions.setdefault(name, set()).add(version)
    return {
        # Looked up when it is asked for, which no digest of code follows: a release reruns nothing.
        "stiltgrid": stiltgrid.__version__,
        "cells": len(predictions) - missing,
        "missing": missing,
        "devices": sorted(devices),
        "codes": len(codes),
        "seconds": round(seconds, 1),
        "versions": {name: sorted(each) for name, each in sorted(versions.items())},
    }
