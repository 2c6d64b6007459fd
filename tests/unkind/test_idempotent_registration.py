"""Over the unkind engine: idempotent registration."""

from tests.usecases.test_idempotent_registration import *
