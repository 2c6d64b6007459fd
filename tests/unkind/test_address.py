"""Over the unkind engine: address."""

from tests.usecases.test_address import *
