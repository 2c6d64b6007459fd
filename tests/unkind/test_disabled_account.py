"""Over the unkind engine: disabled account."""

from tests.usecases.test_disabled_account import *
