#!/bin/sh
# SPDX-License-Identifier: MIT
# check.sh BUILD - runs every test of a build tree and ends with the line 'N passed, N failed'.
set -u
build=${1:-build}
log="$build/meson-logs/testlog.json"
rm -f "$log"
meson test -C "$build" --print-errorlogs --no-rebuild --num-processes 2
python3 - "$log" <<'PYTHON'
import json
import sys

passed = failed = skipped = 0
try:
    for line in open(sys.argv[1]):
        result = json.loads(line)["result"]
        if result in ("OK", "EXPECTEDFAIL"):
            passed += 1
        elif result == "SKIP":
            skipped += 1
        else:
            failed += 1
except OSError as error:
    print("check:", error)
    failed = 1
if passed == 0:
    failed = max(failed, 1)
print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
sys.exit(1 if failed else 0)
PYTHON
