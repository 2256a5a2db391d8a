"""The commands of `credence`: one module each, imported when the command is called."""
