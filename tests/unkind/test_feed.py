"""Over the unkind engine: feed."""

from tests.usecases.test_feed import *
