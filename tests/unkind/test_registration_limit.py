"""Over the unkind engine: registration limit."""

from tests.usecases.test_registration_limit import *
