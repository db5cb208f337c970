// SPDX-License-Identifier: Apache-2.0
// Who may connect, who may not, and that what is sent arrives.
#include "devices/tls.h"

#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <system_error>
#include <thread>

#include "devices/authority.h"
#include "devices/tcp.h"
#include "devices/tls_tunnel.h"

namespace baton::devices {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using Role = TlsChannel::Role;

class Tls : public testing::Test {
 protected:
  Tls() {
    signal(SIGPIPE, SIG_IGN);  // OpenSSL of its own writes with write().

    std::string name = (fs::temp_directory_path() / "baton-tls-XXXXXX").string();
    if (!mkdtemp(name.data())) throw std::runtime_error("no directory");
    path_ = name;
  }
  ~Tls() override { fs::remove_all(path_); }

  std::string authority(const std::string& name) { return state_directory(path_ / name); }
  std::shared_ptr<TlsIdentity> identity(const std::string& where, const std::string& name) {
    return std::make_shared<TlsIdentity>(local_identity(authority(where), name));
  }

  struct Ends {
    int client, server;
    Ends() {
      int fds[2];
      if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds)) throw std::runtime_error("no sockets");
      client = fds[0];
      server = fds[1];
      for (const int fd : fds) set_socket_timeout(fd, 10s);
    }
    ~Ends() {
      close(client);
      close(server);
    }
  };
  /// What the server says of a client that does `act` with its end; empty: it got its first byte.
  static std::string served(const std::shared_ptr<TlsIdentity>& server, int server_fd,
                            const std::function<void()>& act) {
    std::string said;
    std::thread thread([&] {
      try {
        TlsChannel channel(server, server_fd, Role::kServer);
        u8 byte;
        if (channel.read({&byte, 1}) == 0) said = "it ended";
      } catch (const TlsError& problem) {
        said = problem.what();
      }
      shutdown(server_fd, SHUT_RDWR);
    });
    act();
    thread.join();
    return said;
  }
  static std::string greet(const std::shared_ptr<TlsIdentity>& client, int fd, const std::string& name = {}) {
    try {
      TlsChannel channel(client, fd, Role::kClient, name);
      const u8 hello = 'h';
      channel.write(std::span(&hello, 1));
      u8 byte;
      channel.read({&byte, 1});
    } catch (const std::exception& problem) {
      shutdown(fd, SHUT_RDWR);
      return problem.what();
    }
    shutdown(fd, SHUT_RDWR);
    return "";
  }

  fs::path path_;
};

TEST_F(Tls, SystemsOfOneAuthorityConnect) {
  const auto a = identity("one", "A"), b = identity("one", "B");
  Ends ends;
  EXPECT_EQ(served(b, ends.server,
                   [&] {
                     TlsChannel channel(a, ends.client, Role::kClient, "B");
                     const u8 hello = 'h';
                     channel.write(std::span(&hello, 1));
                   }),
            "");
}

TEST_F(Tls, FilesAreTheOwnersAlone) {
  identity("one", "A");
  for (const char* name : {"ca.key", "certificates/A.key", "certificates/A.pem"}) {
    struct stat info{};
    ASSERT_EQ(stat((path_ / "one" / name).c_str(), &info), 0) << name;
    EXPECT_EQ(info.st_mode & 0777, 0600u) << name;
  }
  chmod((path_ / "one").c_str(), 0755);
  EXPECT_THROW(authority("one"), std::runtime_error);
}

TEST_F(Tls, OneAuthorityHoweverManyAskAtOnce) {
  const std::string directory = authority("one");
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&, i] { local_identity(directory, "S" + std::to_string(i)); });
  for (auto& thread : threads) thread.join();
  for (int i = 1; i < 4; ++i) {
    Ends ends;
    const auto server = identity("one", "S0"), client = identity("one", "S" + std::to_string(i));
    EXPECT_EQ(served(server, ends.server, [&] { greet(client, ends.client); }), "");
  }
}

TEST_F(Tls, AForeignAuthorityIsRefused) {
  Ends ends;
  std::string client;
  const std::string server =
      served(identity("one", "B"), ends.server, [&] { client = greet(identity("two", "A"), ends.client); });
  EXPECT_NE(server, "");
  EXPECT_NE(client, "") << "nor does the client believe the server";
}

TEST_F(Tls, AClientThatBelievesButIsNotBelieved) {
  // It has the authority's certificate, which is no secret, but a certificate of its own making.
  const TlsFiles theirs = local_identity(authority("one"), "B"), own = local_identity(authority("two"), "A");
  const auto forged = std::make_shared<TlsIdentity>(TlsFiles{theirs.authority, own.certificate, own.key});
  Ends ends;
  std::string client;
  EXPECT_NE(served(identity("one", "B"), ends.server, [&] { client = greet(forged, ends.client); }), "");
  EXPECT_NE(client, "");
}

TEST_F(Tls, NoCertificateIsRefused) {
  Ends ends;
  const std::string said = served(identity("one", "B"), ends.server, [&] {
    std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
    std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context.get()), SSL_free);
    SSL_set_fd(ssl.get(), ends.client);
    SSL_connect(ssl.get());
    SSL_write(ssl.get(), "h", 1);
    char byte;
    EXPECT_LE(SSL_read(ssl.get(), &byte, 1), 0) << "it is told nothing";
  });
  EXPECT_NE(said.find("certificate"), std::string::npos) << said;
}

TEST_F(Tls, OlderVersionsAreRefused) {
  Ends ends;
  EXPECT_NE(served(identity("one", "B"), ends.server,
                   [&] {
                     std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(
                         SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
                     SSL_CTX_set_max_proto_version(context.get(), TLS1_2_VERSION);
                     std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context.get()), SSL_free);
                     SSL_set_fd(ssl.get(), ends.client);
                     EXPECT_LE(SSL_connect(ssl.get()), 0);
                   }),
            "");
}

TEST_F(Tls, AnExpiredCertificateIsRefused) {
  const auto old =
      std::make_shared<TlsIdentity>(issue(authority("one"), "old", {.from = -48h, .until = -24h}));
  Ends ends;
  const std::string said = served(identity("one", "B"), ends.server, [&] { greet(old, ends.client); });
  EXPECT_NE(said.find("expired"), std::string::npos) << said;
  // The local authority makes a new one in time.
  const auto renewed = identity("one", "old");
  Ends again;
  EXPECT_EQ(served(identity("one", "B"), again.server, [&] { greet(renewed, again.client); }), "");
}

TEST_F(Tls, AServerOfAnotherNameIsRefused) {
  Ends ends;
  std::string client;
  served(identity("one", "B"), ends.server, [&] { client = greet(identity("one", "A"), ends.client, "C"); });
  EXPECT_NE(client.find("mismatch"), std::string::npos) << client;
}

TEST_F(Tls, GarbageAndPlainTextAreRefused) {
  std::mt19937 random(1);
  for (const std::size_t size : {1u, 5u, 300u, 70000u}) {
    std::vector<u8> noise(size);
    for (u8& byte : noise) byte = static_cast<u8>(random());
    Ends ends;
    const std::string said = served(identity("one", "B"), ends.server, [&] {
      EXPECT_GT(send(ends.client, noise.data(), noise.size(), MSG_NOSIGNAL), 0);
      shutdown(ends.client, SHUT_WR);
    });
    EXPECT_NE(said, "") << size;
  }
  Ends ends;
  const std::string said = served(identity("one", "B"), ends.server, [&] {
    EXPECT_GT(send(ends.client, "BATONMIG\1\0\0\0\0\0\0\0", 16, MSG_NOSIGNAL), 0);
  });
  EXPECT_NE(said.find("handshake"), std::string::npos) << said;
}

TEST_F(Tls, BothWaysAtOnceInOrder) {
  const auto a = identity("one", "A"), b = identity("one", "B");
  Ends ends;
  // Small buffers: both senders wait most of the time, and a reader that waited for its sender would too.
  for (const int fd : {ends.client, ends.server}) {
    const int size = 4096;
    ASSERT_EQ(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
  }
  TlsChannel client(a, ends.client, Role::kClient), server(b, ends.server, Role::kServer);
  std::thread accepting([&] { server.handshake(); });
  client.handshake();
  accepting.join();
  std::vector<u8> data(9 << 20);
  std::mt19937 random(2);
  for (u8& byte : data) byte = static_cast<u8>(random());
  const auto receive = [&](TlsChannel& from) {
    std::vector<u8> got(data.size());
    for (std::size_t at = 0; at < got.size();) {
      const std::size_t n = from.read(std::span(got).subspan(at));
      ASSERT_GT(n, 0u);
      at += n;
    }
    EXPECT_EQ(got, data);
  };
  const auto send_all = [&](TlsChannel& to) {
    for (std::size_t at = 0, size = 1; at < data.size(); at += size) {
      size = std::min(data.size() - at, at < 1'000'000 ? 25 : size * 3 + 1);
      const std::span<const u8> part(data.data() + at, size);
      const std::span<const u8> parts[] = {part.first(size / 2), {}, part.subspan(size / 2)};
      to.write(parts);
    }
  };
  std::thread t1([&] { receive(client); }), t2([&] { receive(server); }), t3([&] { send_all(client); });
  send_all(server);
  t1.join();
  t2.join();
  t3.join();
  client.end();
  u8 byte;
  EXPECT_EQ(server.read({&byte, 1}), 0u);
}

TEST_F(Tls, ATunnelCarriesBytesAndEndsWithEitherSide) {
  const auto a = identity("one", "A"), b = identity("one", "B");
  int net[2], left[2], right[2];
  for (int* pair : {net, left, right}) ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  auto client = std::make_unique<TlsChannel>(a, net[0], Role::kClient);
  auto server = std::make_unique<TlsChannel>(b, net[1], Role::kServer);
  std::thread accepting([&] { server->handshake(); });
  client->handshake();
  accepting.join();
  TlsTunnel one(std::move(client), net[0], left[1]), two(std::move(server), net[1], right[1]);
  char text[4] = {};
  EXPECT_EQ(send(left[0], "ping", 4, 0), 4);
  EXPECT_EQ(recv(right[0], text, 4, MSG_WAITALL), 4);
  EXPECT_EQ(std::string(text, 4), "ping");
  EXPECT_EQ(send(right[0], "pong", 4, 0), 4);
  EXPECT_EQ(recv(left[0], text, 4, MSG_WAITALL), 4);
  close(left[0]);
  EXPECT_EQ(recv(right[0], text, 1, 0), 0);
  close(right[0]);
}

TEST_F(Tls, WrongFilesAreNamed) {
  const TlsFiles good = local_identity(authority("one"), "A"), other = local_identity(authority("one"), "B");
  const auto problem = [](const TlsFiles& files) -> std::string {
    try {
      TlsIdentity identity(files);
    } catch (const std::runtime_error& problem) {
      return problem.what();
    }
    return "";
  };
  EXPECT_NE(problem({"/no/ca.pem", good.certificate, good.key}).find("/no/ca.pem"), std::string::npos);
  EXPECT_NE(problem({good.authority, "/no/a.pem", good.key}).find("/no/a.pem"), std::string::npos);
  EXPECT_NE(problem({good.authority, good.certificate, other.key}).find(other.key), std::string::npos);
  std::ofstream(path_ / "one" / "ca.key") << "damaged";
  EXPECT_THROW(local_identity(authority("one"), "A"), std::runtime_error);
}

}  // namespace
}  // namespace baton::devices
