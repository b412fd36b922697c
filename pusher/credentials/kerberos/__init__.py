"""Kerberos: tickets of domain accounts, each got by one AS-REQ within the lockout budget (RFC 4120)."""
