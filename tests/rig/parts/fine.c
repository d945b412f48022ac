// The program of test images.
//
//   fine             runs until it is told to stop
//   fine sleep       the same
//   fine exit CODE   ends at once
//
// As process 1 of a container it must ask for SIGTERM: without a handler the kernel drops it, and
// every deleted pod would wait for its grace period to end.
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void stop(int signal) {
    (void)signal;
    _exit(0);
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "exit") == 0)
        return atoi(argv[2]);
    if (argc > 2 || (argc == 2 && strcmp(argv[1], "sleep") != 0))
        return 2;
    signal(SIGTERM, stop);
    signal(SIGINT, stop);
    for (;;)
        pause();
}
