"""Over the unkind engine: heartbeats."""

from tests.usecases.test_heartbeats import *
