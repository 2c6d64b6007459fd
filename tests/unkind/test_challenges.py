"""Over the unkind engine: challenges."""

from tests.usecases.test_challenges import *
