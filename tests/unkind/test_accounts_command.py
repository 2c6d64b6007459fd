"""Over the unkind engine: accounts command."""

from tests.usecases.test_accounts_command import *
