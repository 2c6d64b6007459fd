"""Over the unkind engine: password change."""

from tests.usecases.test_password_change import *
