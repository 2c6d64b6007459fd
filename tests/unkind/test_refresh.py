"""Over the unkind engine: refresh."""

from tests.usecases.test_refresh import *
