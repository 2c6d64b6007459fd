"""Over the unkind engine: devices."""

from tests.usecases.test_devices import *
