"""Over the unkind engine: retention."""

from tests.usecases.test_retention import *
