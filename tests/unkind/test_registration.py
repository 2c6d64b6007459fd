"""Over the unkind engine: registration."""

from tests.usecases.test_registration import *
