"""The command line: it reads, calls and prints; what it prints comes from views and the store."""
