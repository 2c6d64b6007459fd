"""Over the unkind engine: vanished account."""

from tests.usecases.test_vanished_account import *
