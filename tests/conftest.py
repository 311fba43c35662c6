"""What holds for all tests."""

import signal

# Started in the background by a shell, we and all we start would ignore Ctrl-C; some tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)
