# Three hosts, one of them cut off in mid-step: the ranks that are left name the lost rank, its host, step and collective within the
# time limit, and soon nothing of the job is left on any host. Resumed, the run equals the uninterrupted one.
here=$(cd "$(dirname "$0")" && pwd)
source "$here/tiny_run.sh"
source "$here/../support/network_hosts.sh"
make_hosts 3 >hosts.log || { echo "SKIPPED: $(cat hosts.log)"; exit 77; }
on_hosts() { ranks_on_hosts eth0 3 "$program" "$@"; }
options=(data.sequences=9 schedule.steps=1000 checkpoint.every=100 parallel.time_limit_s=3)

on_hosts train tiny.yaml run.folder=whole "${options[@]}" >whole.log 2>&1 || { cat whole.log; fail "the uninterrupted run"; }

job_is_over() {
  local host
  kill -0 "$job" 2>/dev/null && return 1
  for host in "${hosts[@]}"; do [ -z "$(ip netns pids "$network-$host")" ] || return 1; done
}

# lose HOST COMMAND…: starts the run, cuts HOST off by COMMAND once there is a checkpoint; its words are in lost.log.
lose() {
  local host=$1 start took
  shift
  rm -rf lost
  on_hosts train tiny.yaml run.folder=lost "${options[@]}" >lost.log 2>&1 &
  job=$!
  for ((i = 0; i < 600; ++i)); do
    compgen -G 'lost/checkpoints/step-*' >/dev/null && break
    sleep 0.05
  done
  compgen -G 'lost/checkpoints/step-*' >/dev/null || { cat lost.log; fail "no checkpoint within 30 s"; }
  "$@"
  start=$SECONDS
  for ((i = 0; i < 400; ++i)); do
    job_is_over && break
    sleep 0.1
  done
  took=$((SECONDS - start))
  job_is_over || { cat lost.log; fail "40 s after the cut something still runs"; }
  if wait "$job"; then cat lost.log; fail "exit 0 without host $host"; fi
  grep -Eq "rank [0-9] \(host node[0-9]\): [a-z_]+ .*did not finish within 3 s at step [0-9]+; no answer from rank $((host - 1)) \(host node$host\)" \
    lost.log || { cat lost.log; fail "no message names the lost rank, its host, step and collective"; }
  [ -f lost/model/model.safetensors ] && fail "the run was over before the cut"
  echo "$*: $took s: $(grep -m1 'no answer' lost.log)"
}

# goes_on: the run is resumed and ends like the uninterrupted one.
goes_on() {
  on_hosts train tiny.yaml run.folder=lost "${options[@]}" --resume >resumed.log 2>&1 || { cat resumed.log; fail "resuming"; }
  same_run whole lost
}

lose 3 ip -n "$network-switch" link set port3 down
ip -n "$network-switch" link set port3 up
goes_on

# Here no link goes down: packets of one host disappear.
lose 2 bridge -n "$network-switch" link set dev port2 state disabled
bridge -n "$network-switch" link set dev port2 state forwarding
goes_on
