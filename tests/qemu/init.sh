#!/bin/sh
# The virtual machine's first process: runs the capture tests and switches off.
/bin/busybox mkdir -p /proc /sys /tmp /run
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t tmpfs tmp /tmp
# Unix-socket files in the root file system have no inode of their own in some kernels' ramfs.
/bin/busybox mount -t tmpfs run /run
/capture --test-threads 1 --nocapture 2>&1
echo "qemu: exit code $?"
/bin/busybox poweroff -f
