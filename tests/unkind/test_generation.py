"""Over the unkind engine: generation."""

from tests.usecases.test_generation import *
