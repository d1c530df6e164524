#!/bin/bash
# job.sh: a batch job that tracks itself with mlflowc alone: no Python, no C. MLFLOW_TRACKING_URI names the server.
set -euo pipefail
run=$(mlflowc runs create --experiment examples --name "job-$$")
trap 'mlflowc runs end "$run" --status FAILED' ERR
mlflowc params log "$run" host="$(uname -n)" iterations=3
for step in 1 2 3; do
    mlflowc metrics log "$run" --step "$step" error="$(awk -v s="$step" 'BEGIN { print 1 / s }')"
done
awk 'BEGIN { for (i = 1; i <= 3; i++) print i, 1 / i }' > "${TMPDIR:-/tmp}/errors-$$.txt"
mlflowc artifacts upload "$run" "${TMPDIR:-/tmp}/errors-$$.txt"
rm "${TMPDIR:-/tmp}/errors-$$.txt"
mlflowc runs end "$run"
echo "$run"
