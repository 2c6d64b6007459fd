"""Over the unkind engine: end all."""

from tests.usecases.test_end_all import *
