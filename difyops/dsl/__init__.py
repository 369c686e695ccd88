"""What an app is made of, as plain JSON: read, compare, clean of secrets, put together again.

Pure functions over values; nothing here opens a file or a connection. ``load`` is the only home of YAML.
"""
