"""Over the unkind engine: closing."""

from tests.usecases.test_closing import *
