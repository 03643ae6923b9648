"""The conformance harness for piecewise ``torch.compile`` backends.

The folders, each of which imports only from those above it:

* ``core`` – verdicts, requirements, options: the words that everything else uses.
* ``emulation`` – CUDA graphs on a CPU.
* ``subject`` – the backend under test, how it is loaded, and the adapters that come with the kit.
* ``isolation`` – worker processes, the fork server, global state.
* ``testkit`` – what tests are written with: the oracle, graph capture, spies.
* ``suite`` and ``spec`` – the tests and the requirements that they cite.
* ``reporting`` – reports, expectations, and comparisons of reports.
* ``repros`` – a standalone script for every failure.
* ``runner`` – one run: the pytest plugin, its options, the process that watches it.
* ``mutation`` – mutants of the reference, and the kill matrix.
* ``fuzzing`` – properties of any program, and the search for a program that breaks one.
* ``cli`` – the command line.
"""
