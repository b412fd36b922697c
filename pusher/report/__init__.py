"""Reports: everything that a reader sees of a run.

Here live the records of ``--json`` (``record``), the ``summary`` with causes, the live and plain ``views``, the
``tables``, and the renderers of HTML, CSV, JSON, JUnit XML and Markdown (``render``). What must not live here: network,
store or clock; runs, outcomes and the time are passed in.

Nothing is imported here: whoever needs a record draws no screen.
"""
