#!/bin/sh
# Runs in the virtual machine, whose clock counts instructions: a nanosecond is one of them.
echo "qemu: $(busybox uname -r), ns are instructions"
for mode in fentry tracepoint; do
    cost $mode || exit 1
done
