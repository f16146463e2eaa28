"""Not run by the tests that name it."""
