"""The one error type that stands for a user's mistake."""


class UserError(ValueError):
    """A mistake that its maker can mend: one line that says what to do.

    The library raises it wherever an argument, a file or a folder is at fault;
    the entry points under ``experiments`` print it on stderr and exit with 2.
    """
