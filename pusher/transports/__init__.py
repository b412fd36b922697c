"""Transports: what can be done to one machine, an operating-system call at a time.

``port`` holds the two interfaces (an unauthenticated ``Link``, then a ``Session``) and the values they speak in;
``smb``, ``winrm`` and ``memory`` are adapters; ``threaded`` runs blocking libraries under deadlines; ``codes`` turns
Microsoft's numbers into the catalogue's codes. What must not live here: policy, retries and the order of steps.
"""
