"""Over the unkind engine: security events."""

from tests.usecases.test_security_events import *
