# Makes a machine of this process, for a node of the tests, and stays as its process 1.
#
# It runs in new mount, network, process, cgroup, IPC and host name namespaces. Its disk is the directory $1: the programs and
# libraries are this machine's own, read-only; all else (/var, /opt, /data, /tmp, …) is plain directories in it, which
# the test finds at the same place beneath $1. $2 (Kubernetes) and $3 (the tools) show up in /node. $4 is the cgroup that
# this process is in (cgroup.sh). Every mount and interface goes away with the last process, whatever ends it. $5 is for
# whoever looks for leftovers.
#
# Once it works it writes the id that its process 1 has outside to the file $1/node/pid.
set -eu
root=$1 kubernetes=$2 tools=$3 cgroup=$4
read -r pid rest </proc/self/stat # of the old /proc: the id outside
mount --bind "$root" "$root"
cd "$root"
mkdir -p data dev etc node/kubernetes node/tools opt proc root run sys tmp usr var/lib var/log

for name in bin lib lib32 lib64 libx32 sbin; do
    if [ -L "/$name" ]; then
        cp -P "/$name" "$name"
    elif [ -d "/$name" ]; then
        mkdir -p "$name"
        mount --bind "/$name" "$name"
        mount -o remount,bind,ro "$name"
    fi
done
for pair in "/usr usr" "/etc etc" "$kubernetes node/kubernetes" "$tools node/tools"; do
    mount --bind "${pair% *}" "${pair##* }"
    mount -o remount,bind,ro "${pair##* }"
done
mount --rbind /sys sys
if [ -e "/sys/fs/cgroup/$cgroup" ]; then
    mount --bind "/sys/fs/cgroup/$cgroup" sys/fs/cgroup # cgroup v2: one tree, whose root may hold no process
    mkdir sys/fs/cgroup/init
    echo 1 >sys/fs/cgroup/init/cgroup.procs
    for controller in $(cat sys/fs/cgroup/cgroup.controllers); do
        echo "+$controller" >sys/fs/cgroup/cgroup.subtree_control
    done
else
    for own in /sys/fs/cgroup/*/"$cgroup"; do
        mount --bind "$own" "sys/fs/cgroup/$(basename "${own%/*}")"
    done
fi
mount --rbind /dev dev
mount -t tmpfs -o mode=755 tmpfs run
mount -t proc proc proc

# The kubelet sets these for the whole kernel; here it writes into files.
for name in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys \
    kernel/keys/root_maxbytes; do
    [ -e "proc/sys/$name" ] || continue
    mkdir -p "run/sysctl/${name%/*}"
    cat "proc/sys/$name" >"run/sysctl/$name"
    mount --bind "run/sysctl/$name" "proc/sys/$name"
done

pivot_root . .
umount -l .
cd /
mount --make-rshared / # as on a machine: mounts of pods may propagate
echo 1 >/proc/sys/net/ipv4/ip_forward
ip link set lo up

echo "$pid" >/node/pid.new
mv /node/pid.new /node/pid
# A shell that waits takes the orphans in.
sleep infinity &
wait
