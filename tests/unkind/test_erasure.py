"""Over the unkind engine: erasure."""

from tests.usecases.test_erasure import *
