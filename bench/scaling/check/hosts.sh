# Sourced by check.sh: hosts on one machine, each a network namespace with a name of its own. eth0 joins them by a switch, for mpirun's
# own words; wire0 by bench_emulated_network, with a latency and a rate, for the ranks' messages. All of it goes when the script ends.
export PATH=$PATH:/usr/sbin:/sbin
((EUID == 0)) || { echo "network namespaces need root" >&2; exit 77; }
[ -c /dev/net/tun ] || { echo "no /dev/net/tun here" >&2; exit 77; }
network=longhaul$$
most_hosts=8
emulator=

remove_hosts() {
  local host
  stop_wire
  for ((host = 1; host <= most_hosts; ++host)); do
    ip netns pids "$network-$host" 2>/dev/null | xargs -r kill -KILL 2>/dev/null || true
    ip netns del "$network-$host" 2>/dev/null || true
  done
  ip netns del "$network-switch" 2>/dev/null || true
}

make_hosts() {
  local host
  trap remove_hosts EXIT
  ip netns add "$network-switch"
  ip -n "$network-switch" link add name switch type bridge
  ip -n "$network-switch" link set switch up
  for ((host = 1; host <= most_hosts; ++host)); do
    ip netns add "$network-$host"
    ip -n "$network-$host" link set lo up
    ip -n "$network-switch" link add "port$host" type veth peer name eth0 netns "$network-$host"
    ip -n "$network-switch" link set "port$host" master switch up
    ip -n "$network-$host" address add "10.97.0.$host/24" dev eth0
    ip -n "$network-$host" link set eth0 up
    # A connection may use the whole link at once, also after a pause, and takes a long queue for no loss.
    ip netns exec "$network-$host" sysctl -qw net.ipv4.tcp_slow_start_after_idle=0 net.ipv4.tcp_no_metrics_save=1 \
      net.ipv4.tcp_wmem="4096 2097152 8388608" net.ipv4.tcp_rmem="4096 4194304 8388608"
  done
  cat >on_host <<SCRIPT
#!/bin/bash
host=\${1##*.}
shift
exec ip netns exec $network-\$host unshare --uts bash -c 'hostname node\$0; exec bash -c "\$*"' "\$host" "\$@"
SCRIPT
  chmod +x on_host
}

# start_wire LATENCY_S BYTES_PER_SECOND
start_wire() {
  local host
  stop_wire
  rm -f wire.log
  "$bin/bench_emulated_network" $(seq -f "$network-%.0f" 1 "$most_hosts") --device wire0 --latency "$1" --rate "$2" >wire.log 2>&1 &
  emulator=$!
  for ((i = 0; i < 100; ++i)); do grep -qs ready wire.log && break; sleep 0.05; done
  grep -q ready wire.log || { cat wire.log; exit 1; }
  for ((host = 1; host <= most_hosts; ++host)); do
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

# on_hosts RANKS COMMAND…: one rank a host; mpirun runs on the first.
on_hosts() {
  local ranks=$1 list
  shift
  list=$(seq -s, -f '10.97.0.%.0f' 1 "$ranks")
  nice -n -15 ./on_host 10.97.0.1 env OMPI_MCA_plm_rsh_agent="$PWD/on_host" OMPI_MCA_btl=tcp,self OMPI_MCA_pml=ob1 \
    OMPI_MCA_btl_tcp_if_include=wire0 OMPI_MCA_oob_tcp_if_include=eth0 \
    OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_hwloc_base_binding_policy=none \
    OMPI_MCA_mpi_yield_when_idle=1 OMP_NUM_THREADS=1 \
    mpirun --host "$list" -n "$ranks" "$@"
}
