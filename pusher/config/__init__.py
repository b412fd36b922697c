"""Reading the operator's files: text with bounds, YAML and TOML with positions, and one clear sentence for bad input.

Here live the readers (``files``, ``yaml_source``, ``toml_source``), a file whose values know their places
(``document``), the bridge from pydantic's errors to ``BadInput`` (``validate``), ``durations``, and the ``wording`` of
found and expected. What must not live here: what a file means (its room owns the format), settings read from the
environment, anything that contacts a machine.

Nothing is imported here: whoever words a sentence loads no YAML.
"""
