"""Over the unkind engine: joining."""

from tests.usecases.test_joining import *
