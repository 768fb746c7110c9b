"""`python -m bellwire.cli`."""

from bellwire.cli.main import main

if __name__ == "__main__":
    main()
