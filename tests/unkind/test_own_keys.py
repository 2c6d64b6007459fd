"""Over the unkind engine: own keys."""

from tests.usecases.test_own_keys import *
