"""One real grid, run once a session; tests ask what would run next."""

import pytest
from repository import Repository


@pytest.fixture(scope="session")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A finished grid; `first` are the jobs that it took."""
    repository = Repository(tmp_path_factory.mktemp("grid"))
    repository.first = repository.run()
    return repository
