"""Over the unkind engine: policy."""

from tests.usecases.test_policy import *
