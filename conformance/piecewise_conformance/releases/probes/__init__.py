"""Small programs that show what a torch does, for what its signatures cannot show.

The package depends on torch alone, and any interpreter that has torch runs it: ``child.py`` imports
it under the name ``probes``. A probe returns its answer, a short text that is equal in every run.
"""
