"""Over the unkind engine: changing password."""

from tests.usecases.test_changing_password import *
