#!/bin/busybox sh
# The first process of the virtual machine: modules, this machine's files, and then the mailbox.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
# Twice, as one may need another that comes after it.
for module in @FIRST@ @FIRST@; do insmod /modules/$module 2>/dev/null; done
mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,ro,cache=loose host /host || echo "no host"
for module in @THEN@; do insmod $module; done
ip link set lo up
ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0
mount --rbind /dev /host/dev
mount --rbind /proc /host/proc
mount --rbind /sys /host/sys
mount -t tmpfs tmpfs /host/mnt
mkdir /host/mnt/mail /host/mnt/root
mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,cache=none mail /host/mnt/mail || echo "no mail"
while true; do
    for script in /host/mnt/mail/*.sh; do
        [ -e "$script" ] || continue
        name=${script##*/}
        name=${name%.sh}
        chroot /host /bin/sh "/mnt/mail/$name.sh" >"/host/mnt/mail/$name.out" 2>&1
        echo $? >"/host/mnt/mail/$name.done"
        mv "$script" "/host/mnt/mail/$name.old"
        mv "/host/mnt/mail/$name.done" "/host/mnt/mail/$name.status"
    done
    sleep 0.1
done
