// SPDX-License-Identifier: Apache-2.0
// The demonstration's clients against a partition that a thread plays.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <latch>

#include "app/demo/formats.h"
#include "app/demo/record_client.h"
#include "app/demo/status_client.h"

namespace baton::demo {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

/// Listens on a free port and gives each connection, one after another, to `serve`.
class Server {
 public:
  explicit Server(std::function<void(int connection, int number)> serve) : serve_(std::move(serve)) {
    fd_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(fd_, 4), 0);
    getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
    port = ntohs(address.sin_port);
    thread_ = std::thread([this] {
      int number = 0;
      for (int c; (c = accept(fd_, nullptr, nullptr)) >= 0; close(c)) serve_(c, number++);
    });
  }
  ~Server() {
    shutdown(fd_, SHUT_RDWR);
    thread_.join();
    close(fd_);
  }
  u16 port = 0;

 private:
  std::function<void(int, int)> serve_;
  int fd_;
  std::thread thread_;
};

bool read_record(int c, EchoRecord& r) {
  return recv(c, r.data(), r.size(), MSG_WAITALL) == ssize_t{kEchoSize};
}
void answer(int c, u64 seq) {
  // The answer differs from the request in the magic and so in the checksum, which is linear: take it from
  // the guest's rule rather than from the client's.
  EchoRecord r = echo_request(seq);
  r[3] = '2';
  u32 crc = ~0u;
  for (std::size_t i = 0; i < 60; ++i) {
    crc ^= r[i];
    for (int k = 0; k < 8; ++k) crc = crc & 1 ? 0xEDB88320u ^ crc >> 1 : crc >> 1;
  }
  store_be(&r[60], ~crc);
  send(c, r.data(), r.size(), MSG_NOSIGNAL);
}

Clock::time_point in(Clock::duration time) { return Clock::now() + time; }

template <class Done>
void wait_until(Done done) {
  while (!done()) std::this_thread::sleep_for(1ms);
}

TEST(RecordClient, CountsWhatIsAnsweredRight) {
  Server server([](int c, int) {
    EchoRecord r;
    while (read_record(c, r)) answer(c, load_be<u64>(&r[4]));
  });
  RecordClient client(server.port, in(30s));
  wait_until([&] { return client.totals().checked >= 20; });
  const auto totals = client.finish(in(30s));
  EXPECT_EQ(totals.checked, totals.sent);
  EXPECT_EQ(totals.errors, 0u) << totals.first_error;
}

TEST(RecordClient, TriesAgainUntilTheServiceAnswers) {
  Server server([](int c, int number) {
    EchoRecord r;
    if (number < 2) return;  // Closed before an answer: a partition that is not up yet.
    while (read_record(c, r)) answer(c, load_be<u64>(&r[4]));
  });
  RecordClient client(server.port, in(30s));
  EXPECT_EQ(client.finish(in(30s)).errors, 0u);
}

TEST(RecordClient, NobodyThereIsSaid) {
  EXPECT_THROW(RecordClient(free_port(), in(200ms)), std::runtime_error);
}

TEST(RecordClient, MeasuresTheLongestGap) {
  std::atomic<bool> pause{false};
  Server server([&](int c, int) {
    EchoRecord r;
    while (read_record(c, r)) {
      if (pause.exchange(false)) std::this_thread::sleep_for(150ms);
      answer(c, load_be<u64>(&r[4]));
    }
  });
  RecordClient client(server.port, in(30s));
  client.mark();
  pause = true;
  wait_until([&] { return !pause; });
  const u64 before = client.totals().checked;
  wait_until([&] { return client.totals().checked > before + 2; });
  EXPECT_GE(client.longest_gap_ms(), 149);
  EXPECT_EQ(client.finish(in(30s)).errors, 0u);
}

TEST(RecordClient, WrongAnswerIsAnError) {
  Server server([](int c, int) {
    EchoRecord r;
    while (read_record(c, r)) answer(c, load_be<u64>(&r[4]) == 4 ? 99 : load_be<u64>(&r[4]));
  });
  RecordClient client(server.port, in(30s));
  wait_until([&] { return client.totals().errors > 0; });
  const auto totals = client.finish(in(30s));
  EXPECT_EQ(totals.errors, 1u);
  EXPECT_EQ(totals.first_error, "the answer to record 4 is that to record 99");
}

TEST(RecordClient, ClosedConnectionIsAnError) {
  Server server([](int c, int) {
    EchoRecord r;
    for (int i = 0; i < 5 && read_record(c, r); ++i) answer(c, load_be<u64>(&r[4]));
  });
  RecordClient client(server.port, in(30s));
  wait_until([&] { return client.totals().errors > 0; });
  EXPECT_EQ(client.finish(in(30s)).errors, 1u);
}

TEST(RecordClient, MissingAnswersAreAnError) {
  std::latch over(1);
  Server server([&](int c, int) {
    EchoRecord r;
    read_record(c, r);
    answer(c, 1);
    over.wait();
  });
  RecordClient client(server.port, in(30s));
  wait_until([&] { return client.totals().sent >= 3; });
  const auto totals = client.finish(in(100ms));
  EXPECT_EQ(totals.errors, 1u);
  EXPECT_THAT(totals.first_error, HasSubstr("never answered"));
  over.count_down();
}

void say(int c, const std::string& text) { send(c, text.data(), text.size(), MSG_NOSIGNAL); }
std::string hear(int c) {
  std::string line;
  for (char byte; recv(c, &byte, 1, 0) == 1 && byte != '\n';) line += byte;
  return line;
}
constexpr const char* kLine =
    R"({"mono_ns":7000000000,"real_ns":1,"pulse":11,"disk_ack":12,"disk_full":false,"disk_error":5,"compute":1300000,)"
    R"("compute_hash":"00000000000000ff","gap_ns_max":2500000,"gap_at_ns":1,"backward":3,"tcp_records":14,)"
    R"("tcp_errors":2,"cpu":[50,100]})"
    "\n";

TEST(StatusClient, ReadsLinesInPieces) {
  std::latch over(1);
  Server server([&](int c, int) {
    const std::string line = kLine;
    say(c, line.substr(0, 40));
    std::this_thread::sleep_for(20ms);
    say(c, line.substr(40) + line);
    over.wait();
  });
  StatusClient client(server.port, in(30s));
  wait_until([&] { return client.lines() == 2; });
  const Status status = client.latest();
  EXPECT_EQ(status.mono_ns, 7e9);
  EXPECT_EQ(status.pulse, 11u);
  EXPECT_EQ(status.disk_ack, 12u);
  EXPECT_EQ(status.disk_error, 5);
  EXPECT_EQ(status.compute, 1300000u);
  EXPECT_EQ(status.gap_ms, 2.5);
  EXPECT_EQ(status.backward, 3u);
  EXPECT_EQ(status.tcp_errors, 2u);
  EXPECT_EQ(status.cpu, (std::vector<int>{50, 100}));
  EXPECT_EQ(client.broken(), "");
  over.count_down();
}

TEST(StatusClient, AsksAndServesWantsBetweenStatusLines) {
  Server server([](int c, int) {
    say(c, kLine);
    if (hear(c) != "irqs") return;
    say(c, std::string("{\"want\":\"console-input\",\"cpu\":0}\n") + kLine +
               "{\"want\":\"console-input\",\"cpu\":1}\n");
    say(c, "{\"irqs\":[{\"cpu\":0,\"timer\":true,\"disk\":null}]}\n");
    hear(c);
  });
  StatusClient client(server.port, in(30s));
  std::vector<double> wants;
  const Json answer =
      client.ask("irqs", "irqs", in(30s), [&](const Json& want) { wants.push_back(number(want, "cpu")); });
  EXPECT_EQ(wants, (std::vector<double>{0, 1}));
  const Json row = answer.fields().at("irqs").list_value().values(0).struct_value();
  EXPECT_TRUE(flag(row, "timer"));
  EXPECT_FALSE(flag(row, "disk"));
}

TEST(StatusClient, RefusalSilenceAndBreakAreSaid) {
  Server server([](int c, int number) {
    say(c, kLine);
    if (number == 0) {
      hear(c);
      say(c, "{\"error\":\"unknown command\"}\n");
      hear(c);
    }
  });
  StatusClient client(server.port, in(30s));
  EXPECT_THAT([&] { client.ask("dance", "danced", in(30s)); },
              testing::ThrowsMessage<std::runtime_error>(HasSubstr("unknown command")));
  EXPECT_THAT([&] { client.ask("stop", "stopped", in(30s)); },
              testing::ThrowsMessage<std::runtime_error>(HasSubstr("closed the connection")));
  EXPECT_NE(client.broken(), "");
}

TEST(StatusClient, SilenceHasALimit) {
  std::latch over(1);
  Server server([&](int c, int) {
    say(c, kLine);
    over.wait();
  });
  StatusClient client(server.port, in(30s));
  EXPECT_THAT([&] { client.ask("stop", "stopped", in(50ms)); },
              testing::ThrowsMessage<std::runtime_error>(HasSubstr("in time")));
  over.count_down();
}

}  // namespace
}  // namespace baton::demo
