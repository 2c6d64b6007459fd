"""Over the unkind engine: username."""

from tests.usecases.test_username import *
