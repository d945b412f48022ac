#!/bin/sh
# Runs in the virtual machine: the capture's own tests in both modes, and the pulls in the mode that
# nodes use. The capture's tests have the agent's two capabilities; in the pulls only the agent has.
# /bin: the shell would take its own setpriv.
failed=0
capture() {
    echo "qemu: $(busybox uname -r), $preemption, $1"
    PULLFUSE_TEST_CAPTURE=$1 /bin/setpriv --inh-caps=-all --bounding-set=-all,+bpf,+perfmon \
        /bin/capture --test-threads 1 --nocapture ${2:+"$2"} || failed=1
}
preemption=voluntary
case $(busybox cat /proc/cmdline) in
*preempt=full*)
    # Mode fentry may miss sends there, and has to say so; mode tracepoint may not.
    preemption=full
    PULLFUSE_TEST_PREEMPTED=1 capture fentry connections_at_once
    PULLFUSE_TEST_CAPTURE=tracepoint qemu --ignored --nocapture --test-threads 1 || failed=1
    ;;
*)
    capture fentry
    capture tracepoint
    qemu --ignored --nocapture --test-threads 1 || failed=1
    ;;
esac
exit $failed
