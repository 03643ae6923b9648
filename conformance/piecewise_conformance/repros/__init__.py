"""A standalone script for every failure: written from the suite, and run before it is reported.

    result ──part.py────▶ the one test, with what it uses of its module
           ──sources.py─▶ the files of the harness that this needs, as text
           ──script.py──▶ one file that runs with torch and the subject alone
           ──confirm.py─▶ what came of it in a fresh process

``standalone.py`` and ``stand_in.py`` are what runs in a script: they judge as the plugin does, and
stand for the few names that tests use of pytest.
"""
