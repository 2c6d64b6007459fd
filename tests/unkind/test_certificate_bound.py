"""Over the unkind engine: certificate bound."""

from tests.usecases.test_certificate_bound import *
