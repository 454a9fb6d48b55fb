"""The command line: one module per command.

A command's module has `add_options(parser)` and `execute(arguments) -> exit code`. Only the module of the command that
was given is imported; what a command needs beyond its options is imported when it is executed.
"""
