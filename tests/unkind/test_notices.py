"""Over the unkind engine: notices."""

from tests.usecases.test_notices import *
