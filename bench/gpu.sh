#!/usr/bin/env bash
# Tests and measures on a machine with a GPU: bench/gpu.sh BUNDLE [OUT.json] [MINUTES] [REGEX]
# BUNDLE is a folder of launch/bundle.sh with: longhaul bench_{ops,train_step,evaluation}
# {kernels,dist,model,eval,trainer,nccl}_gpu_tests. The machine needs CUDA's libraries; with compute-sanitizer, PyTorch,
# Triton and mamba_ssm also that is run. Ends within MINUTES (default 9); what did not fit is named in OUT.json, and
# parts whose name matches REGEX are run alone and added to it.
set -euo pipefail
if (($# == 0)) || [[ $1 == -h || $1 == --help ]]; then
  sed -n '2,6s/^# //p' "$0"
  exit $(($# == 0 ? 2 : 0))
fi
exec python3 "$(dirname "${BASH_SOURCE[0]}")/gpu_run.py" --bundle "$1" --json "${2:-gpu.json}" --minutes "${3:-9}" --only "${4:-}"
