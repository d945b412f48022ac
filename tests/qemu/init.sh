#!/bin/sh
# The virtual machine's first process: runs the capture tests in both modes, with the two
# capabilities that the agent has, and switches off.
/bin/busybox mkdir -p /proc /sys /tmp
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t tmpfs tmp /tmp
failed=0
for mode in fentry tracepoint; do
    echo "qemu: $(/bin/busybox uname -r), $mode"
    PULLFUSE_TEST_CAPTURE=$mode /bin/setpriv --inh-caps=-all --bounding-set=-all,+bpf,+perfmon \
        /capture --test-threads 1 2>&1 || failed=1
done
echo "qemu: failed=$failed"
/bin/busybox poweroff -f
