"""Everything that uses tinygrad's private API. No other package does: a test checks it.

Private modules change between releases: to move to another version of tinygrad, change VERSION and the requirements,
and run the tests of this package first.
"""

VERSION = "0.14.0"  # the version that the requirements pin, and that this package was written for
