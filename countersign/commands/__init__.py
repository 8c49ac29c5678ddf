"""Read command lines and print answers: one file for each family of commands."""
