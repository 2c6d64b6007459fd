"""Over the unkind engine: operator notices."""

from tests.usecases.test_operator_notices import *
