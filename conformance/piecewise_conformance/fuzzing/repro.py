"""A failing program as a script of its own."""

from __future__ import annotations

from piecewise_fixtures.generated import SIZES, Program, graph_arguments, printing

from ..repros.script import assemble, loading_of, needs_of, said
from ..testkit.generated.layout import with_layout
from ..testkit.generated.programs import as_graph
from .properties import DIRECT, properties

_HEAD = """\
{requirement} fails for {backend}: {case}

{message}
Found by seed {seed}, through {capture}.

    python {name}

Exit status: 1 if the property fails, 0 if it holds, 3 without a verdict. If the subject crashes or
hangs the program, it crashes or hangs this script.
Needs {needs}.
"""

_BODY = '''\
# --- The program, as a person would write it ---

{module}

# --- The same program as data, which runs below ---

PROGRAM = r"""
{program}
"""
'''

_CALL = """\
from piecewise_conformance.fuzzing import replay

raise SystemExit(replay.main({spec!r}, {key!r}, PROGRAM))
"""


def printed(key: str, program: Program) -> str:
    """``program`` as a person would write it, and the graph if the property is one of graphs."""
    sizes = f"for {SIZES[0]} tokens"
    module = with_layout(printing.module(program), graph_arguments(program, SIZES[0]), sizes)
    if properties()[key].capture == DIRECT:
        lines = str(as_graph(program).gm.graph).splitlines()
        module += "\n\n# the graph of it, which was built without Dynamo:\n#"
        module += "\n#".join(f" {each}" if each else "" for each in lines)
        module += f"\n#\n# splitting ops: {', '.join(program.splitting_ops) or 'none'}\n"
    return module.rstrip()


def script(backend: str, key: str, program: Program, seed: str, message: str, name: str) -> str:
    """The text of the script."""
    found = properties()[key]
    loading = loading_of(backend)
    head = _HEAD.format(
        requirement=found.requirement,
        backend=backend,
        case=found.case,
        message=said("", message),
        seed=seed,
        capture="Dynamo" if found.capture != DIRECT else "a graph built directly",
        name=name,
        needs=needs_of(loading),
    )
    body = _BODY.format(module=printed(key, program), program=program.to_json())
    return assemble(head, body, _CALL.format(spec=loading.spec, key=key), loading)
