"""Over the unkind engine: objection."""

from tests.usecases.test_objection import *
