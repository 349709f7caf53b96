#!/bin/bash
# node.sh FOLDER PROGRAMS: the first process of the node's namespaces (pid, mount, network, uts, ipc, cgroup). All of the
# cluster runs below it: when it ends, processes, mounts and network of the node are gone. Files and addresses come from
# node.ts by the environment.
set -u
folder=$1
PATH=$2:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
log=$LOG_FOLDER
# While /proc is still the machine's: the pid by which it knows this process. First of all, so that it can be ended.
read -r machine_pid _ </proc/self/stat
echo "$machine_pid" >"$folder/pid.new" && mv "$folder/pid.new" "$folder/pid"

mount --make-rshared /
controllers=$(cut -d: -f2 /proc/self/cgroup)
mount -t proc proc /proc
mount -t sysfs sysfs /sys
if [ -n "${controllers//$'\n'/}" ]; then
	# Version 1: each hierarchy once more, seen from the node's own cgroup downwards.
	mount -t tmpfs cgroups /sys/fs/cgroup
	for controller in $controllers; do
		place=/sys/fs/cgroup/${controller#name=}
		mkdir "$place"
		case $controller in name=*) controller=none,$controller ;; esac
		mount -t cgroup -o "$controller" cgroup "$place"
	done
else
	mount -t cgroup2 cgroup2 /sys/fs/cgroup
	# Version 2 lets only leaves hold processes where controllers are handed down.
	mkdir /sys/fs/cgroup/node
	echo 0 >/sys/fs/cgroup/node/cgroup.procs
	for controller in $(</sys/fs/cgroup/cgroup.controllers); do
		echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control
	done
fi
mount -t tmpfs run /run
mkdir -p /run/containerd /run/netns /run/lock
# Places that programs insist on; node.ts made the folders where the machine has none.
for place in $BOUND_FOLDERS; do
	mkdir -p "$folder/root$place"
	mount --bind "$folder/root$place" "$place"
done
hostname "$NODE_NAME"

# The network has no way out: an address that nobody here has is unreachable at once.
ip link set lo up
# A pair with both ends here: not every kernel has the dummy device.
ip link add node0 type veth peer name node0-end
ip link set node0-end up
ip addr add "$NODE_IP/24" dev node0
ip link set node0 up
ip route add unreachable default
# Connections of the node itself to services get as far as kube-proxy's rules.
ip route add "$SERVICE_RANGE" dev node0
echo 1 >/proc/sys/net/ipv4/ip_forward
[ -e /proc/sys/net/bridge/bridge-nf-call-iptables ] && echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables

# keep NAME COMMAND...: starts it again whenever it ends, as it does while what it needs is not there yet.
keep() {
	local name=$1
	shift
	while :; do
		"$@" >>"$log/$name.log" 2>&1
		echo "$(date +%T) $name ended with $?" >>"$log/node.log"
		sleep 0.5
	done &
}
keep containerd containerd --config "$folder/containerd.toml"
# A machine that loses power loses a test, not a cluster.
keep etcd etcd --data-dir "$folder/etcd" --unsafe-no-fsync --log-level warn \
	--listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
	--listen-peer-urls http://127.0.0.1:2380
pki=$folder/pki
keep kube-apiserver kube-apiserver --etcd-servers http://127.0.0.1:2379 --secure-port 6443 \
	--advertise-address "$NODE_IP" --service-cluster-ip-range "$SERVICE_RANGE" --allow-privileged --profiling=false \
	--authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction \
	--client-ca-file "$pki/ca.crt" --tls-cert-file "$pki/apiserver.crt" --tls-private-key-file "$pki/apiserver.key" \
	--kubelet-client-certificate "$pki/apiserver-kubelet.crt" --kubelet-client-key "$pki/apiserver-kubelet.key" \
	--kubelet-preferred-address-types InternalIP \
	--service-account-issuer https://kubernetes.default.svc.cluster.local \
	--service-account-key-file "$pki/sa.pub" --service-account-signing-key-file "$pki/sa.key" \
	--requestheader-client-ca-file "$pki/ca.crt" --requestheader-allowed-names front-proxy \
	--requestheader-username-headers X-Remote-User --requestheader-group-headers X-Remote-Group \
	--requestheader-extra-headers-prefix X-Remote-Extra- \
	--proxy-client-cert-file "$pki/front-proxy.crt" --proxy-client-key-file "$pki/front-proxy.key"
# The usual limit of requests makes the start of the cluster take half as long again.
keep kube-controller-manager kube-controller-manager --kubeconfig "$pki/controller-manager.conf" --leader-elect=false \
	--kube-api-qps 200 --kube-api-burst 400 --use-service-account-credentials --bind-address 127.0.0.1 \
	--service-account-private-key-file "$pki/sa.key" --root-ca-file "$pki/ca.crt" \
	--cluster-signing-cert-file "$pki/ca.crt" --cluster-signing-key-file "$pki/ca.key" \
	--requestheader-client-ca-file "$pki/ca.crt" --profiling=false
keep kube-scheduler kube-scheduler --kubeconfig "$pki/scheduler.conf" --leader-elect=false --bind-address 127.0.0.1 \
	--profiling=false
keep kube-proxy kube-proxy --config "$folder/kube-proxy.yaml"
keep kubelet kubelet --config "$folder/kubelet.yaml" --kubeconfig "$pki/kubelet.conf" \
	--hostname-override "$NODE_NAME" --node-ip "$NODE_IP"

touch "$folder/started"
# The first process takes in what others leave behind.
while :; do wait -n; sleep 0.2; done
