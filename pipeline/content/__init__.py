"""What is true about a text, decided by code: citations, numbers, lengths, search metadata.

Pure functions over text and values. Nothing here asks a model or opens a connection.
"""
