"""Over the unkind engine: consent."""

from tests.usecases.test_consent import *
