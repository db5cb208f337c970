// SPDX-License-Identifier: Apache-2.0
// baton-ping ADDRESS: an ICMP echo every 5 ms; the longest time between two answers.
//   SIGUSR1: forget what was seen.
//   SIGUSR2: it, in ms, to /tmp/ping.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { INTERVAL_MS = 5, IPV4_HEADER_WORD = 4, ECHO_REQUEST = 8, ECHO_REPLY = 0 };

struct echo {
  uint8_t type, code;
  uint16_t checksum, identifier, sequence;
};

static volatile sig_atomic_t forget, report;

static void on_signal(int number) {
  if (number == SIGUSR1)
    forget = 1;
  else
    report = 1;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static uint16_t checksum(const struct echo* echo) {
  uint16_t words[sizeof *echo / 2];
  memcpy(words, echo, sizeof words);
  uint32_t sum = 0;
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) sum += words[i];
  return (uint16_t)~((sum & 0xFFFF) + (sum >> 16));
}

int main(int count, char** words) {
  struct sockaddr_in to = {.sin_family = AF_INET};
  if (count != 2 || inet_pton(AF_INET, words[1], &to.sin_addr) != 1) return 2;
  const int fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
  if (fd < 0) return 1;
  signal(SIGUSR1, on_signal);
  signal(SIGUSR2, on_signal);
  const uint16_t identifier = (uint16_t)getpid();
  uint16_t sequence = 0;
  double last = 0, gap = 0, next = now();
  while (1) {
    if (now() >= next) {
      struct echo ask = {ECHO_REQUEST, 0, 0, identifier, sequence++};
      ask.checksum = checksum(&ask);
      // What cannot be sent is an answer that does not come.
      if (sendto(fd, &ask, sizeof ask, 0, (struct sockaddr*)&to, sizeof to) < 0) usleep(INTERVAL_MS * 1000);
      next = now() + INTERVAL_MS;
    }
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    if (poll(&wait, 1, 1) > 0) {
      uint8_t packet[128];
      const ssize_t length = recv(fd, packet, sizeof packet, 0);
      const size_t header = (packet[0] & 15u) * IPV4_HEADER_WORD;
      struct echo answer;
      if (length >= (ssize_t)(header + sizeof answer)) {
        memcpy(&answer, packet + header, sizeof answer);
        if (answer.type == ECHO_REPLY && answer.identifier == identifier) {
          const double t = now();
          if (last && t - last > gap) gap = t - last;
          last = t;
        }
      }
    }
    if (forget) {
      forget = 0;
      gap = 0;
    }
    if (report) {
      report = 0;
      FILE* out = fopen("/tmp/ping.new", "w");
      if (!out) return 1;
      fprintf(out, "%.1f\n", gap);
      fclose(out);
      rename("/tmp/ping.new", "/tmp/ping");
    }
  }
}
