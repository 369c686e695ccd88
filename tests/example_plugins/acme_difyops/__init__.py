"""An example of a package with plugins for difyops."""
