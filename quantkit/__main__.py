"""`python -m quantkit`."""

from quantkit.cli.main import main

if __name__ == "__main__":
    main(prog_name="quantkit")
