"""Over the unkind engine: activity."""

from tests.usecases.test_activity import *
