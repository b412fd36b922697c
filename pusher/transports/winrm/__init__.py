"""The WinRM adapter: ``adapter.WinrmTransport``, and ``content.ContentServer`` that targets pull files from.

What must not live here: retries, and which account signs in.
"""
