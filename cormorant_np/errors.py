"""The one exception for mistakes that the user can mend, and how a command reports it."""

import sys


class UserError(Exception):
    """One plain sentence for the user: what is wrong, where, and what to do."""


def run_command(main):
    """Run a command's `main()`; a `UserError` becomes its sentence on stderr and exit code 2, without a traceback."""
    try:
        sys.exit(main())
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        sys.exit(130)
