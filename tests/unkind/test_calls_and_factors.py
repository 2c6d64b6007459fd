"""Over the unkind engine: calls and factors."""

from tests.usecases.test_calls_and_factors import *
