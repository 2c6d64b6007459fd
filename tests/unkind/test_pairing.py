"""Over the unkind engine: pairing."""

from tests.usecases.test_pairing import *
