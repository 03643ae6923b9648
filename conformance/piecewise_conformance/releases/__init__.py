"""The validation of a PyTorch release: what changed in torch, what fails, and whose change it was.

* ``drift`` – two torches compared by their source, with nothing installed.
* ``probing`` – small programs, each with the answer that is expected of a version of torch.
* ``session`` – a conformance run for each torch and each subject, next to that of the good torch.
* ``attribution`` – which layer moved, found by running a failing program with layers replaced.
* ``page`` – all of it on one page.
"""
