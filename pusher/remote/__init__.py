"""Remote: what a path, a program's image and a detection rule mean on a Windows machine, whoever looks at it there.

Shared by the transports, which look, and by checks and installing, which decide. What must not live here: a connection.
"""
