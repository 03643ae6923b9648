"""The conformance harness for piecewise ``torch.compile`` backends.

Its folders, lowest first; each imports only from those before it:

* ``core`` – verdicts, requirements, options: what everything else speaks of.
* ``emulation`` – CUDA graphs on a CPU.
* ``subject`` – the backend under test, how it is loaded, and the adapters that come with the kit.
* ``isolation`` – worker processes, the fork server, global state.
* ``testkit`` – what tests are written with: the oracle, graph capture, spies.
* ``suite`` – the tests; ``spec`` – the requirements that they cite.
* ``reporting`` – reports, expectations, and comparisons of reports.
* ``repros`` – a standalone script for every failure.
* ``runner`` – one run: the pytest plugin, its options, the process that watches it.
* ``mutation`` – mutants of the reference, and the kill matrix.
* ``fuzzing`` – the search for a program that breaks a backend.
* ``releases`` – the validation of a PyTorch release.
* ``cli`` – the command line.
"""
