"""What programs share: flags, tables, one line for a mistake. Nothing here is run."""
