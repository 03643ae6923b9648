"""A script for every failure: written from the suite, and run before it is reported.

    result ──part.py────▶ the one test, with what it uses of its module
           ──script.py──▶ one short file: what failed, the test, and the call that judges it
           ──confirm.py─▶ what came of it in a fresh process

A script imports the harness, which ``pip install piecewise-conformance`` installs;
``runner/replay.py`` judges it.
"""
