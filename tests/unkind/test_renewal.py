"""Over the unkind engine: renewal."""

from tests.usecases.test_renewal import *
