"""Over the unkind engine: passkeys."""

from tests.usecases.test_passkeys import *
