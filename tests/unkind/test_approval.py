"""Over the unkind engine: approval."""

from tests.usecases.test_approval import *
