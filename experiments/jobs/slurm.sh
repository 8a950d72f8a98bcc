#!/usr/bin/env bash
#SBATCH --job-name=facerec
#SBATCH --nodes=1
#SBATCH --gpus-per-node=8
#SBATCH --ntasks-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=slurm-%j.log
# Four minutes before the time limit: save, and queue again.
#SBATCH --signal=B:USR1@240
#
# Trains on SLURM, one process per GPU:
#   sbatch [--nodes=4 ...] experiments/jobs/slurm.sh CONFIG WORKDIR [FLAGS...]
#   sbatch experiments/jobs/slurm.sh configs/resnet.py runs/resnet50 \
#     --config.encoder.dtype=bfloat16 --config.batch_size=2048
# Submit from the checkout; WORKDIR lies on a disk that all nodes see. VENV names
# the environment (.venv), APP another command than facerec_jax.main. DRY_RUN=1
# prints the command instead of running it.
set -euo pipefail

if [ $# -lt 2 ]; then
  echo "usage: sbatch slurm.sh CONFIG WORKDIR [FLAGS...]" >&2
  exit 2
fi
config=$1
workdir=$2
shift 2

command=(
  srun --kill-on-bad-exit=1
  "${VENV:-.venv}/bin/python" -m "${APP:-facerec_jax.main}" --distributed
  "--config=$config" "--workdir=$workdir" "$@"
)
if [ -n "${DRY_RUN:-}" ]; then
  printf '%q ' "${command[@]}"
  echo
  exit
fi

again=
stop() {
  again=1
  scancel --signal=TERM "$SLURM_JOB_ID"
}
trap stop USR1
# From scancel and preemption the tasks have this signal, too: a second one would
# stop them before they have saved.
trap : TERM

# In the background: bash hears signals while it waits, not while it runs.
"${command[@]}" &
child=$!
status=0
wait "$child" || status=$?
while kill -0 "$child" 2>/dev/null; do
  # That was a signal; the run is saving.
  status=0
  wait "$child" || status=$?
done
if [ -n "$again" ] && [ "$status" -eq 0 ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
