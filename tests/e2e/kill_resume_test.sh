# A run killed with SIGKILL at random moments, also while it writes a checkpoint, and resumed, equals the uninterrupted run
# bit for bit. Every other time only mpirun is killed and its ranks live on for a moment, beside the job that resumes.
# KILLS=n for more than 20; SEED=n to repeat one.
source "$(dirname "$0")/tiny_run.sh"
kills=${KILLS:-20}
RANDOM=${SEED:-$$}
echo "seed ${SEED:-$$}, $kills kills"

for source in state_passing tbtt; do
  options=("initial_state.source=$source" checkpoint.every=1 checkpoint.keep=3)
  ranks 2 train tiny.yaml run.folder="whole-$source" "${options[@]}" >whole.log 2>&1 || { cat whole.log; fail "uninterrupted run"; }
  start=$(date +%s%N)
  rm -rf timing
  ranks 2 train tiny.yaml run.folder=timing "${options[@]}" >/dev/null 2>&1
  took_ms=$((($(date +%s%N) - start) / 1000000))

  during_write=0
  for ((kill = 1; kill <= kills / 2; ++kill)); do
    setsid mpirun -n 2 "$program" train tiny.yaml run.folder="broken-$source" "${options[@]}" --resume >broken.log 2>&1 &
    group=$!
    sleep "$(awk -v r=$RANDOM -v t=$took_ms 'BEGIN { printf "%.3f", (0.1 + 0.9 * r / 32767) * t / 1000 }')"
    # Open MPI's ranks are of mpirun's session, but of process groups of their own.
    if ((kill % 2 == 0)); then pkill -KILL -s "$group" || true; else kill -KILL "$group" 2>/dev/null || true; fi
    { wait "$group"; } 2>/dev/null || true
    compgen -G "broken-$source/checkpoints/.*partial*" >/dev/null && during_write=$((during_write + 1))
    # A run that was not killed in time has finished; begin another.
    if [ -f "broken-$source/model/model.safetensors" ]; then
      pkill -KILL -s "$group" || true
      same_run "whole-$source" "broken-$source"
      rm -rf "broken-$source"
    fi
  done
  ranks 2 train tiny.yaml run.folder="broken-$source" "${options[@]}" --resume >last.log 2>&1 || { cat last.log; fail "resuming"; }
  same_run "whole-$source" "broken-$source"
  echo "$source: $((kills / 2)) kills, $during_write of them while a checkpoint was written"
done
