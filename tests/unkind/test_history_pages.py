"""Over the unkind engine: history pages."""

from tests.usecases.test_history_pages import *
