"""The WinRM adapter: ``adapter.WinrmTransport``, and ``content.ContentServer`` that targets pull files from."""
