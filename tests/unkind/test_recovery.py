"""Over the unkind engine: recovery."""

from tests.usecases.test_recovery import *
