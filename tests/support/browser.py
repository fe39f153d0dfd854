"""A headless Chromium for pages; tests that need it skip where it is missing and say what is."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from machine import PATIENCE

NAMES = ("chromium", "chromium-browser", "google-chrome")
WAIT = 30_000 * PATIENCE  # milliseconds


@dataclass
class Opened:
    """A page that is open, with all that went wrong in it and all that it asked for."""

    page: Any
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@contextmanager
def chromium() -> Iterator[Any]:
    """The browser; skips without playwright or Chromium."""
    api = pytest.importorskip("playwright.sync_api", reason="needs: pip install playwright")
    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Any, path: Path, at: str = "", **settings: Any) -> Iterator[Opened]:
    """A results page, once it has drawn everything. `settings` are those of a context, such as `color_scheme`."""
    context = browser.new_context(**{"viewport": {"width": 1400, "height": 900}, **settings})
    found = Opened(context.new_page())
    found.page.set_default_timeout(WAIT)
    found.page.on("console", lambda message: found.errors.append(message.text) if message.type != "log" else None)
    found.page.on("pageerror", lambda error: found.errors.append(str(error)))
    found.page.on("request", lambda request: found.requests.append(request.url))
    found.page.goto(f"file://{path}{at}")
    found.page.wait_for_selector("html[data-ready]", state="attached")
    yield found
    context.close()
