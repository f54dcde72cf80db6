# Output that cannot be written: every command says so and exits with 1; a training goes on to its end all the same.
tree=$(cd "$(dirname "$0")/../.." && pwd)
source "$(dirname "$0")/tiny_run.sh"
"$program" train tiny.yaml run.folder=whole >whole.log
mkdir whole/evaluation

# lost ARGUMENT…: to a full disk.
lost() {
  code=0
  "$program" "$@" >/dev/full 2>err || code=$?
  [ "$code" = 1 ] && [ "$(cat err)" = "longhaul: standard output: cannot be written; all else is done" ] ||
    { cat err; fail "$1: exit code $code"; }
}
lost --help
lost --version
lost inspect whole/model
lost status whole
lost train tiny.yaml --dry-run run.folder=dry
lost check
lost eval recall --model whole/model --run whole/run.yaml --length 64 --sequences 2 --json whole/evaluation/recall.json
[ -s whole/evaluation/recall.json ] || fail "eval has not written its file"
lost report whole --out report.html
[ -s report.html ] || fail "report has not written its file"
lost sweep --keys
lost export --model whole/model --out exported

lost train tiny.yaml run.folder=full run.log_every=1
same_run whole full
code=0
"$program" train tiny.yaml run.folder=cut --until 20 >/dev/full 2>err || code=$?
[ "$code" = 75 ] && grep -q "standard output: cannot be written" err || { cat err; fail "saved without a terminal: exit code $code"; }

# A pipe that is closed after its first line.
set +o pipefail
{ "$program" train tiny.yaml run.folder=piped run.log_every=1 2>err || echo "$?" >code; } | head -1 >/dev/null
[ "$(cat code)" = 1 ] && grep -q "standard output: cannot be written" err || { cat err; fail "train | head: exit code $(cat code)"; }
same_run whole piped
# So under mpirun, which ends its ranks after some broken pipes.
long="schedule.steps=300 run.log_every=1"
ranks 2 train tiny.yaml run.folder=whole-2 $long >whole-2.log
{ "$tree/launch/mpirun.sh" 2 "$program" train tiny.yaml run.folder=piped-2 $long 2>err || echo "$?" >code; } | head -1 >/dev/null
[ "$(cat code)" = 1 ] && [ "$(cat err)" = "mpirun.sh: standard output: cannot be written; the job goes on" ] ||
  { cat err; fail "mpirun.sh train | head: exit code $(cat code)"; }
same_run whole-2 piped-2
