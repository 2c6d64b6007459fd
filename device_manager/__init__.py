"""Devices of an account: the limit's policy, enrolment, listing, unbinding."""
