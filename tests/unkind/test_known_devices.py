"""Over the unkind engine: known devices."""

from tests.usecases.test_known_devices import *
