"""Over the unkind engine: modes."""

from tests.usecases.test_modes import *
