"""Over the unkind engine: certificates in use."""

from tests.usecases.test_certificates_in_use import *
