"""Over the unkind engine: revocation."""

from tests.usecases.test_revocation import *
