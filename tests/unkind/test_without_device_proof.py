"""Over the unkind engine: without device proof."""

from tests.usecases.test_without_device_proof import *
