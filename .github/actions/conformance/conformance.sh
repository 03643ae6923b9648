#!/usr/bin/env bash
# Install a backend and the test kit, run the suite, and write summary.md next to the report.
# Settings come from the environment (BACKEND, INSTALL, KIT, LEVEL, BASELINE, ARGUMENTS, OUT), so that
# any CI can call it. The exit status is that of the run.
set -euo pipefail
: "${BACKEND:?name the backend, as run takes it}" "${OUT:=conformance-report}"
read -r -a install <<<"${INSTALL-}"
read -r -a arguments <<<"${ARGUMENTS-}"
if [ -n "${KIT-}" ] || [ "${#install[@]}" -gt 0 ]; then
    python -m pip install --quiet ${KIT:+"$KIT"} "${install[@]}"
fi
status=0
python -m piecewise_conformance run --backend "$BACKEND" --out "$OUT" \
    ${LEVEL:+--level "$LEVEL"} "${arguments[@]}" || status=$?
if [ -n "${BASELINE-}" ] && [ -f "$OUT/report.jsonl" ]; then
    python -m piecewise_conformance diff "$BASELINE" "$OUT" --markdown >"$OUT/summary.md" || true
else
    mkdir -p "$OUT"
    echo "### Piecewise conformance: exit status $status" >"$OUT/summary.md"
fi
if [ -n "${GITHUB_STEP_SUMMARY-}" ]; then cat "$OUT/summary.md" >>"$GITHUB_STEP_SUMMARY"; fi
exit "$status"
