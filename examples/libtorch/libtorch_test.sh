#!/usr/bin/env bash
# libtorch_test.sh PROGRAM: prints what the page says.
set -euo pipefail
diff <("$1") - <<'END'
scores of 3 rows, each of which sums up to 1.000
a picture of 480 by 640, the same as ATen's: yes
END
