"""Kerberos: tickets of domain accounts, each got by one AS-REQ within the lockout budget (RFC 4120).

``tickets`` is who asks, ``library`` the adapter to MIT's, ``memory`` the fake, ``settings`` the one setting that it
takes. What must not live here: whether an account may be tried (``lockout``), and what a ticket is used for
(``transports``).
"""
