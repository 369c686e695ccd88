"""``python -m difyops``."""

from difyops.cli import main

if __name__ == "__main__":
    main()
