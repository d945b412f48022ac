#!/bin/sh
# Runs in the virtual machine: the capture's own tests in both modes, and the pulls in the mode that
# nodes use. The capture's tests have the agent's two capabilities; in the pulls only the agent has.
# /bin: the shell would take its own setpriv.
failed=0
for mode in fentry tracepoint; do
    echo "qemu: $(busybox uname -r), $mode"
    PULLFUSE_TEST_CAPTURE=$mode /bin/setpriv --inh-caps=-all --bounding-set=-all,+bpf,+perfmon \
        capture --test-threads 1 || failed=1
done
qemu --ignored --nocapture --test-threads 1 || failed=1
exit $failed
