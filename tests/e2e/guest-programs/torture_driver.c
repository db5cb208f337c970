// SPDX-License-Identifier: Apache-2.0
// Runs test programs that are linked into this one, each in a process of its own, and prints what became of
// each: "NAME exit CODE" or "NAME signal NUMBER". The table of their main functions is generated.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct test {
  const char* name;
  int (*main)(int, char**, char**);
};
extern const struct test tests[];

enum { kLimitSeconds = 120 };

int main(int argc, char** argv, char** environment) {
  (void)argc;
  for (const struct test* test = tests; test->name; test++) {
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
      alarm(kLimitSeconds);
      if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr)) _exit(99);
      argv[1] = NULL;
      exit(test->main(1, argv, environment));
    }
    int status;
    if (child < 0 || waitpid(child, &status, 0) != child) {
      perror("torture_driver");
      return 1;
    }
    if (WIFSIGNALED(status)) {
      printf("%s signal %d\n", test->name, WTERMSIG(status));
    } else {
      printf("%s exit %d\n", test->name, WEXITSTATUS(status));
    }
  }
  return 0;
}
