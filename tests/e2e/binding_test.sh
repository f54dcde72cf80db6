# launch/mpirun.sh binds ranks to processors, or does not; a rank has a thread for each processor that it need not share.
tree=$(cd "$(dirname "$0")/../.." && pwd)
source "$(dirname "$0")/tiny_run.sh"
skip() { echo "SKIPPED: $*"; exit 77; }
unset OMPI_MCA_hwloc_base_binding_policy OMPI_MCA_rmaps_base_oversubscribe
start() { "$tree/launch/mpirun.sh" "$@"; }

refused() { # what it says, then how it is called
  local words=$1 code=0
  shift
  "$@" >refused.log 2>&1 || code=$?
  [ "$code" = 2 ] && grep -qF "$words" refused.log || { cat refused.log; fail "exit code $code, expected 2 and '$words'"; }
}
refused "usage:" start
refused "usage:" start two "$program"
refused "CPUS_PER_RANK: found '0'" env CPUS_PER_RANK=0 "$tree/launch/mpirun.sh" 1 true
refused "found 3 ranks for 2 nodes" env HOSTS=a,b "$tree/launch/mpirun.sh" 3 true

own=$(awk '/Cpus_allowed_list/ { print $2 }' /proc/self/status)
mapfile -t processors < <(for part in ${own//,/ }; do seq "${part%-*}" "${part#*-}"; done)
((${#processors[@]} >= 2)) || skip "there is one processor here"

of_ranks() { "$@" sh -c 'grep Cpus_allowed_list /proc/self/status' | awk '{ print $2 }' | sort; }
[ "$(of_ranks start 2)" = "$own"$'\n'"$own" ] || fail "ranks are bound, without CPUS_PER_RANK"
export CPUS_PER_RANK=1
[ "$(of_ranks start 2 | uniq | wc -l)" = 2 ] || fail "two ranks are on the same processor"
of_ranks env HOSTS=localhost "$tree/launch/mpirun.sh" 2 | grep -q '[,-]' && fail "a rank has more than one processor"
unset CPUS_PER_RANK

# threads COMMAND…: of the ranks, from the table of the environment ("cores/threads")
threads() { "$@" | awk '$2 ~ /^[0-9]/ { for (i = 3; i <= NF; ++i) if ($i ~ /^[0-9]+\/[0-9]+$/) print $i }'; }
export OMPI_MCA_hwloc_base_binding_policy=none
if ((EUID == 0)); then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi
on() { echo "taskset -c $1 $program check"; }
one=${processors[0]} two=${processors[0]},${processors[1]}
threads mpirun --oversubscribe -n 1 $(on "$one") : -n 1 $(on "$two") | sort | diff - <(printf '1/1\n2/2\n') || fail "threads of ranks with processors of their own"
threads mpirun --oversubscribe -n 2 $(on "$two") | sort -u | diff - <(echo 2/1) || fail "threads of ranks that share two processors"
