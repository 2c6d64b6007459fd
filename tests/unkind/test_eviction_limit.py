"""Over the unkind engine: eviction limit."""

from tests.usecases.test_eviction_limit import *
