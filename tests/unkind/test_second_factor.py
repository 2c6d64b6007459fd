"""Over the unkind engine: second factor."""

from tests.usecases.test_second_factor import *
