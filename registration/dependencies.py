"""What the use cases of registration are given by the composition root."""

from __future__ import annotations

from collections.abc import Container

from msgspec import Struct

from common.account.claim_store import ClaimStore
from common.account.policy import Policies
from common.account.transactions import AccountTransactions
from common.clock import Clock
from common.proof.challenge_service import ChallengeService
from common.storage.port import Store
from registration.account_db import AccountDb
from registration.credentials import CredentialCheck
from registration.email_sender import Notifier
from registration.hashing_pool import HashingPool
from registration.ports import Enrolment
from registration.registration_limit import RegistrationLimit


class RegistrationDependencies(Struct, frozen=True):
    """Dependencies of the use cases."""

    store: Store
    transactions: AccountTransactions
    accounts: AccountDb
    claims: ClaimStore
    credentials: CredentialCheck
    enrolment: Enrolment
    notifier: Notifier
    policies: Policies
    hashing_pool: HashingPool
    common_passwords: Container[str]
    clock: Clock
    challenges: ChallengeService
    limit: RegistrationLimit
