# Work that one rank does while the others wait may take longer than the time limit, and is told; a rank that is stopped in it is found.
source "$(dirname "$0")/rank_of_job.sh"
source "$(dirname "$0")/tiny_run.sh"

# One sequence for two data ranks: rank 1 has nothing to evaluate and waits for several times the limit.
options=(schedule.steps=6 schedule.warmup=1 evaluation.every=6 evaluation.sequences=1 parallel.time_limit_s=1)
ranks 2 train tiny.yaml run.folder=busy "${options[@]}" evaluation.length=8000000 >busy.log 2>&1 || { cat busy.log; fail "an evaluation longer than the time limit"; }
grep -q "rank 1: warning: .* goes on: busy is rank 0 (host .*): evaluating at step 6" busy.log || { cat busy.log; fail "nobody says who is busy"; }

# Longer still, and rank 0 is stopped in the midst of it.
mpirun -n 2 "$program" train tiny.yaml run.folder=stopped "${options[@]}" evaluation.length=200000000 >stopped.log 2>&1 &
job=$!
for ((i = 0; i < 400; ++i)); do
  grep -q "goes on: busy is rank 0" stopped.log && break
  sleep 0.05
done
lose_rank 0 stopped STOP
grep -q "no answer from rank 0" stopped.log || { cat stopped.log; fail "no message names rank 0"; }
echo "stopped while busy: $took s: $(grep -m1 'no answer' stopped.log)"
