"""The version, read by pyproject.toml. No job imports it, so that a release reruns nothing."""

VERSION = "0.1.0"
