#!/usr/bin/env bash
# Trains on all workers of a Cloud TPU pod; the same command resumes:
#   TPU=NAME ZONE=ZONE experiments/jobs/tpu_pod.sh CONFIG WORKDIR [FLAGS...]
# The checkout with its environment lies in ~/facerec_jax on every worker
# (DIRECTORY). Only worker 0 reads and writes WORKDIR: its own disk will do, a
# mounted bucket outlives it. APP names another command than facerec_jax.main.
# DRY_RUN=1 prints the command instead of running it.
set -euo pipefail

if [ $# -lt 2 ]; then
  echo "usage: TPU=NAME ZONE=ZONE tpu_pod.sh CONFIG WORKDIR [FLAGS...]" >&2
  exit 2
fi
: "${TPU:?name the TPU by TPU=NAME}" "${ZONE:?name its zone by ZONE=ZONE}"
config=$1
workdir=$2
shift 2

remote=$(printf '%q ' \
  "${VENV:-.venv}/bin/python" -m "${APP:-facerec_jax.main}" --distributed \
  "--config=$config" "--workdir=$workdir" "$@")
command=(
  gcloud compute tpus tpu-vm ssh "$TPU" "--zone=$ZONE" --worker=all
  "--command=cd ${DIRECTORY:-facerec_jax} && exec $remote"
)
if [ -n "${DRY_RUN:-}" ]; then
  printf '%q ' "${command[@]}"
  echo
  exit
fi
exec "${command[@]}"
