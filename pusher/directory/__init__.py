"""An LDAP directory (Active Directory) behind one small port: it is searched, and never changed.

``port`` is what the rest of the house sees; ``ldap`` the real thing (bonsai, in a process of its own: ``child``),
``memory`` a fake that keeps the same contract; ``names`` and ``filters`` the grammars of RFC 4514 and RFC 4515;
``values`` what attributes mean; ``faults`` the codes. What must not live here: what is searched for, and why.
"""
