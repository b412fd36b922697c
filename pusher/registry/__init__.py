"""The registry: people, their grants and the objects that those are about, changed one at a time, each change audited.

``world`` makes of the store's rows what access decides by, ``loaded`` keeps that until it changes. ``change`` is the
one way to change any of it: in one transaction what is to be changed is read, changed, held to access's checks and
entered in the audit. The changes themselves: ``people``, ``roles``, ``grants``, ``objects``, ``groups`` (of machines,
whose queries ``results`` answers), ``sync`` (an inventory's machines), ``leaving`` (all that somebody has). ``chain``
makes the audit proof against whoever changes the store, ``audit_files`` keeps its key and anchors outside of that,
``names`` has what somebody may be called and finds what is meant.
The command line asks here, and so may a console. What must not live here: the rules (``access``), SQL (``store``), what
is printed (``cli``).
"""
