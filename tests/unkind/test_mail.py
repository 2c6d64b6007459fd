"""Over the unkind engine: mail."""

from tests.usecases.test_mail import *
