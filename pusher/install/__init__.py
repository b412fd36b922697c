"""Install: the machine that puts a package on a host, and takes back exactly what it made when a step fails.

``machine`` is the table (state, event) → state; ``plan`` (pure) decides what a host needs; ``steps`` holds each
step's effect and undo; ``driver`` journals, then acts; ``names`` and ``watch`` are pure helpers; ``package`` reads
a package's folder, ``payload`` its bytes. What must not live here: which transport it is on (``transports``).
"""
