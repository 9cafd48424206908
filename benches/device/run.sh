#!/usr/bin/env bash
# Runs the device kit in this folder with the machine's Python: run.sh [--cpu] [PART…]
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
for python in "${PYTHON:-}" python3 python; do
  if [ -n "$python" ] && "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
    exec "$python" -u "$here/kit.py" "$@"
  fi
done
echo "the kit needs Python 3.10 or later: set PYTHON to one" >&2
exit 1
