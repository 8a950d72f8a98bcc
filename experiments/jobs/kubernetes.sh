#!/usr/bin/env bash
# Trains on Kubernetes as a JobSet; the same command resumes:
#   IMAGE=IMAGE experiments/jobs/kubernetes.sh CONFIG WORKDIR [FLAGS...]
# NODES (1) with GPUS (8) each; IMAGE has the package and the configs; WORKDIR
# lies under /runs, the volume of the claim CLAIM (facerec). NAME (facerec) names
# the job, APP another command than facerec_jax.main. DRY_RUN=1 prints the JobSet
# instead of applying it.
set -euo pipefail

if [ $# -lt 2 ]; then
  echo "usage: IMAGE=IMAGE kubernetes.sh CONFIG WORKDIR [FLAGS...]" >&2
  exit 2
fi
: "${IMAGE:?name the container by IMAGE=IMAGE}"
config=$1
workdir=$2
shift 2

# Python's templates and JSON quote what a shell would break.
jobset=$(IMAGE=$IMAGE NAME=${NAME:-facerec} NODES=${NODES:-1} GPUS=${GPUS:-8} \
  CLAIM=${CLAIM:-facerec} APP=${APP:-facerec_jax.main} \
  python3 - "$(dirname "$0")/kubernetes.yaml" \
  "--config=$config" "--workdir=$workdir" "$@" <<'PYTHON'
import json
import os
import string
import sys

template = string.Template(open(sys.argv[1]).read().partition("\napi")[2])
# Kubernetes itself replaces $(NAME) in arguments; $$ keeps it.
arguments = json.dumps([a.replace("$(", "$$(") for a in sys.argv[2:]])
print("api" + template.substitute(os.environ, ARGUMENTS=arguments), end="")
PYTHON
)
if [ -n "${DRY_RUN:-}" ]; then
  echo "$jobset"
  exit
fi
echo "$jobset" | kubectl apply -f -
