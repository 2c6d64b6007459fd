"""Over the unkind engine: bound tokens."""

from tests.usecases.test_bound_tokens import *
