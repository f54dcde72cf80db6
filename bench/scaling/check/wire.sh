# Sourced by check.sh: wire0 joins the hosts of tests/support/network_hosts.sh by bench_emulated_network, with a latency and a rate.
[ -c /dev/net/tun ] || { echo "no /dev/net/tun here" >&2; exit 77; }
emulator=
trap 'stop_wire; remove_hosts' EXIT

# start_wire LATENCY_S BYTES_PER_SECOND
start_wire() {
  local host
  stop_wire
  rm -f wire.log
  "$bin/bench_emulated_network" "${hosts[@]/#/$network-}" --device wire0 --latency "$1" --rate "$2" >wire.log 2>&1 &
  emulator=$!
  for ((i = 0; i < 100; ++i)); do grep -qs ready wire.log && break; sleep 0.05; done
  grep -q ready wire.log || { cat wire.log; exit 1; }
  for host in "${hosts[@]}"; do
    # A connection may use the whole link at once, also after a pause, and takes a long queue for no loss.
    ip netns exec "$network-$host" sysctl -qw net.ipv4.tcp_slow_start_after_idle=0 net.ipv4.tcp_no_metrics_save=1 \
      net.ipv4.tcp_wmem="4096 2097152 8388608" net.ipv4.tcp_rmem="4096 4194304 8388608"
    ip -n "$network-$host" link set wire0 mtu 9000 txqueuelen 10000 up
    ip -n "$network-$host" address add "10.98.0.$host/24" dev wire0
    ip -n "$network-$host" route change 10.98.0.0/24 dev wire0 src "10.98.0.$host" initcwnd 200 initrwnd 400 rto_min 3s
  done
}
stop_wire() {
  [ -n "$emulator" ] || return 0
  kill "$emulator" 2>/dev/null || true
  wait "$emulator" 2>/dev/null || true
  emulator=
}

# on_hosts RANKS COMMAND…: ranks of one thread, with real-time priority: what else the machine does must not count.
on_hosts() (
  renice -n -15 "$BASHPID" >/dev/null
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_hwloc_base_binding_policy=none \
    OMPI_MCA_pml=ob1 OMPI_MCA_mpi_yield_when_idle=1 OMP_NUM_THREADS=1
  ranks=$1
  shift
  ranks_on_hosts wire0 "$ranks" chrt -r 1 "$@"
)
