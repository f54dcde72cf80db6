# Sourced: hosts on one machine, each a network namespace with a name of its own (node1, node2, …), joined by a switch in one more.
# The working folder gets on_host, which mpirun takes for ssh. All of it goes when the script ends, with every process in it.
export PATH=$PATH:/usr/sbin:/sbin
network=longhaul$$
hosts=()

remove_hosts() {
  local host
  for host in "${hosts[@]}"; do
    ip netns pids "$network-$host" 2>/dev/null | xargs -r kill -KILL 2>/dev/null || true
  done
  for host in "${hosts[@]}" switch; do ip netns del "$network-$host" 2>/dev/null || true; done
}

# make_hosts COUNT: false, after a line that says why, where that cannot be.
make_hosts() {
  local host
  command -v ip >/dev/null || { echo "no ip (Debian: iproute2)"; return 1; }
  ((EUID == 0)) || { echo "network namespaces need root"; return 1; }
  trap remove_hosts EXIT
  ip netns add "$network-switch" 2>netns.log || { echo "no network namespaces here: $(tail -1 netns.log)"; return 1; }
  ip -n "$network-switch" link add name switch type bridge 2>netns.log || { echo "no bridge here: $(tail -1 netns.log)"; return 1; }
  ip -n "$network-switch" link set switch up
  for ((host = 1; host <= $1; ++host)); do
    hosts+=("$host")
    ip netns add "$network-$host"
    ip -n "$network-$host" link set lo up
    ip -n "$network-switch" link add "port$host" type veth peer name eth0 netns "$network-$host"
    ip -n "$network-switch" link set "port$host" master switch up
    ip -n "$network-$host" address add "10.97.0.$host/24" dev eth0
    ip -n "$network-$host" link set eth0 up
  done
  cat >on_host <<SCRIPT
#!/bin/bash
host=\${1##*.}
shift
exec ip netns exec $network-\$host unshare --uts bash -c 'hostname node\$0; exec bash -c "\$*"' "\$host" "\$@"
SCRIPT
  chmod +x on_host
  ./on_host 10.97.0.1 true 2>netns.log || { echo "no host name of its own for a process: $(tail -1 netns.log)"; return 1; }
}

# ranks_on_hosts DEVICE RANKS COMMAND…: one rank a host, whose messages go through DEVICE; mpirun runs on the first.
ranks_on_hosts() {
  local device=$1 ranks=$2
  shift 2
  ./on_host 10.97.0.1 env OMPI_MCA_plm_rsh_agent="$PWD/on_host" OMPI_MCA_btl=tcp,self OMPI_MCA_btl_tcp_if_include="$device" \
    OMPI_MCA_oob_tcp_if_include=eth0 mpirun --host "$(seq -s, -f '10.97.0.%.0f' 1 "$ranks")" -n "$ranks" "$@"
}
