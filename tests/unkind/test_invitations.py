"""Over the unkind engine: invitations."""

from tests.usecases.test_invitations import *
