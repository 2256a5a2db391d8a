"""The shell: definitions, storage, sources, brokers, loops and the command line."""
