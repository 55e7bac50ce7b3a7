#!/bin/sh
# Inside of the namespaces of one dockerd (docker.lua): engine.sh FOLDER DATA SEED NAME
#
# The first process of its own PID namespace: when it ends, the kernel ends the daemon, containerd, every shim and every
# container, and takes the mounts and the network with them. Prints "ready" when its side of the network can be plugged
# in; a line with the number of its networks on standard input lets it go on, the end of that ends the daemon, orderly.
set -eu
folder=$1 data=$2 seed=$3 name=$4

[ "$seed" = - ] || sh "${0%/*}/clone.sh" "$seed" "$data"

# containerd's shims have their sockets in /run, wherever the rest is: in a /run of its own they meet no other daemon's.
mount -t tmpfs -o mode=755 tmpfs /run
ip link set lo up
echo ready
read -r number

ip addr add "198.19.$number.2/30" dev link0
ip link set link0 up
until ip route show default | grep -q .; do sleep 0.02; done # slirp4netns is there

dockerd --data-root "$data" --exec-root "$folder/exec" --pidfile "$folder/pid" -H "unix://$folder/docker.sock" \
  --bip "198.19.$number.65/26" --dns 10.0.2.3 --cgroup-parent "/$name" </dev/null >"$folder/log" 2>&1 &
daemon=$!
read -r _ || true
kill -TERM $daemon
wait $daemon || true
