"""`python -m postroad` is the command line."""

from postroad.cli.main import main

if __name__ == "__main__":
    main()
