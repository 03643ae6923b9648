"""What the tests of the suite are written with."""
