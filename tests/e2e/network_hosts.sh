# Sourced after tiny_run.sh: three hosts on one machine, each a network namespace with a name of its own, joined by a switch in a
# fourth. Skips the test (77) where that cannot be. All of it goes when the test ends, with every process in it.
skip() { echo "SKIPPED: $*"; exit 77; }
export PATH=$PATH:/usr/sbin:/sbin
command -v ip >/dev/null || skip "no ip (Debian: iproute2)"
((EUID == 0)) || skip "network namespaces need root"
network=longhaul$$
hosts=(1 2 3)

remove_hosts() {
  local host
  for host in "${hosts[@]}"; do
    ip netns pids "$network-$host" 2>/dev/null | xargs -r kill -KILL 2>/dev/null || true
  done
  for host in "${hosts[@]}" switch; do ip netns del "$network-$host" 2>/dev/null || true; done
}
trap remove_hosts EXIT

ip netns add "$network-switch" 2>netns.log || skip "no network namespaces here: $(tail -1 netns.log)"
ip -n "$network-switch" link add name switch type bridge 2>netns.log || skip "no bridge here: $(tail -1 netns.log)"
ip -n "$network-switch" link set switch up
for host in "${hosts[@]}"; do
  ip netns add "$network-$host"
  ip -n "$network-$host" link set lo up
  ip -n "$network-switch" link add "port$host" type veth peer name eth0 netns "$network-$host"
  ip -n "$network-switch" link set "port$host" master switch up
  ip -n "$network-$host" address add "10.99.0.$host/24" dev eth0
  ip -n "$network-$host" link set eth0 up
done

# What mpirun takes for ssh: on_host ADDRESS COMMAND…
cat >on_host <<SCRIPT
#!/bin/bash
host=\${1##*.}
shift
exec ip netns exec $network-\$host unshare --uts bash -c 'hostname node\$0; exec bash -c "\$*"' "\$host" "\$@"
SCRIPT
chmod +x on_host
./on_host 10.99.0.1 true 2>netns.log || skip "no host name of its own for a process: $(tail -1 netns.log)"
export OMPI_MCA_plm_rsh_agent=$PWD/on_host
export OMPI_MCA_btl=tcp,self OMPI_MCA_btl_tcp_if_include=eth0 OMPI_MCA_oob_tcp_if_include=eth0

# on_hosts ARGS…: the program, a rank on each host; mpirun runs on the first.
on_hosts() {
  ./on_host 10.99.0.1 mpirun --host 10.99.0.1,10.99.0.2,10.99.0.3 -n 3 "$program" "$@"
}
