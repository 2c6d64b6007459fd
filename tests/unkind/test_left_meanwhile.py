"""Over the unkind engine: left meanwhile."""

from tests.usecases.test_left_meanwhile import *
