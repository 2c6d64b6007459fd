"""Over the unkind engine: expiry."""

from tests.usecases.test_expiry import *
