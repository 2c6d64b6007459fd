"""Over the unkind engine: guessed codes."""

from tests.usecases.test_guessed_codes import *
