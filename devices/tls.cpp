// SPDX-License-Identifier: Apache-2.0
#include "devices/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace baton::devices {
namespace {

constexpr std::size_t kPiece =
    256 << 10;  ///< Plain text that is encrypted before it is sent, and read at once.
constexpr auto kHandshakeTime = std::chrono::seconds(5);

std::string openssl_reason() {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  const char* text = code ? ERR_reason_error_string(code) : nullptr;
  return text ? text : "no reason was given";
}

}  // namespace

struct TlsIdentity::Private {
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context{SSL_CTX_new(TLS_method()), SSL_CTX_free};
};

TlsIdentity::TlsIdentity(const TlsFiles& files) : p_(std::make_unique<Private>()) {
  SSL_CTX* context = p_->context.get();
  if (!context) throw std::runtime_error("OpenSSL cannot be used: " + openssl_reason() + ".");
  const auto need = [](bool done, const std::string& what, const std::string& path) {
    if (!done)
      throw std::runtime_error("The " + what + " " + path + " cannot be used: " + openssl_reason() +
                               "; name PEM files that belong together.");
  };
  SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION);
  // The fastest first: what is sent is mostly memory, as fast as it can be read.
  SSL_CTX_set_ciphersuites(context,
                           "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256");
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_num_tickets(context, 0);  // Each connection proves itself anew.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  need(SSL_CTX_load_verify_file(context, files.authority.c_str()) == 1, "certificate authority",
       files.authority);
  need(SSL_CTX_use_certificate_chain_file(context, files.certificate.c_str()) == 1, "certificate",
       files.certificate);
  need(SSL_CTX_use_PrivateKey_file(context, files.key.c_str(), SSL_FILETYPE_PEM) == 1, "private key",
       files.key);
  need(SSL_CTX_check_private_key(context) == 1, "private key", files.key);
}

TlsIdentity::~TlsIdentity() = default;

/// Ciphertext on its way, where OpenSSL takes it from or puts it without another copy between.
struct TlsChannel::Private {
  std::shared_ptr<const TlsIdentity> identity;
  int fd;
  std::vector<u8> received = std::vector<u8>(kPiece);  ///< From the peer; taken..filled is not read yet.
  std::size_t taken = 0, filled = 0;
  std::vector<u8> written, leaving;  ///< To the peer: what comes, and what is being sent.
  bool ready = false;
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl{nullptr, SSL_free};

  static const BIO_METHOD* method();
};

const BIO_METHOD* TlsChannel::Private::method() {
  static BIO_METHOD* const made = [] {
    BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "buffers of a TlsChannel");
    if (!m) throw std::bad_alloc();
    BIO_meth_set_read_ex(m, [](BIO* bio, char* to, std::size_t size, std::size_t* moved) {
      auto& p = *static_cast<Private*>(BIO_get_data(bio));
      BIO_clear_retry_flags(bio);
      *moved = std::min(size, p.filled - p.taken);
      if (*moved == 0) {
        BIO_set_retry_read(bio);
        return 0;
      }
      std::memcpy(to, p.received.data() + p.taken, *moved);
      p.taken += *moved;
      return 1;
    });
    BIO_meth_set_write_ex(m, [](BIO* bio, const char* from, std::size_t size, std::size_t* moved) {
      auto& p = *static_cast<Private*>(BIO_get_data(bio));
      const auto* bytes = reinterpret_cast<const u8*>(from);
      p.written.insert(p.written.end(), bytes, bytes + size);
      *moved = size;
      return 1;
    });
    BIO_meth_set_ctrl(m, [](BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1L : 0L; });
    return m;
  }();
  return made;
}

TlsChannel::TlsChannel(std::shared_ptr<const TlsIdentity> identity, int fd, Role role,
                       const std::string& peer_name)
    : p_(std::make_unique<Private>()) {
  p_->identity = std::move(identity);
  p_->fd = fd;
  p_->ssl.reset(SSL_new(p_->identity->p_->context.get()));
  BIO* const bio = BIO_new(Private::method());
  if (!p_->ssl || !bio) throw std::bad_alloc();
  BIO_set_data(bio, p_.get());
  BIO_set_init(bio, 1);
  SSL_set_bio(p_->ssl.get(), bio, bio);
  if (role == Role::kServer)
    SSL_set_accept_state(p_->ssl.get());
  else
    SSL_set_connect_state(p_->ssl.get());
  if (!peer_name.empty() && SSL_set1_host(p_->ssl.get(), peer_name.c_str()) != 1) throw std::bad_alloc();
}

TlsChannel::~TlsChannel() = default;

void TlsChannel::fail(const char* doing) {
  const long verified = SSL_get_verify_result(p_->ssl.get());
  std::string why = openssl_reason();
  if (verified != X509_V_OK) why = X509_verify_cert_error_string(verified);
  throw TlsError(std::string(doing) + ": " + why + ".");
}

void TlsChannel::send_answers() {
  while (true) {
    {
      const std::lock_guard hold(tls_lock_);
      if (p_->written.empty()) return;
    }
    // Who holds the lock sends these too, and looks once more after it. To wait for it here would be to wait
    // for the peer to read, which may be waiting for us.
    const std::unique_lock hold(write_lock_, std::try_to_lock);
    if (!hold.owns_lock()) return;
    send_pending();
  }
}

void TlsChannel::send_pending() {
  while (true) {
    {
      const std::lock_guard hold(tls_lock_);
      if (p_->written.empty()) return;
      p_->leaving.clear();
      std::swap(p_->leaving, p_->written);
    }
    std::span<const u8> left = p_->leaving;
    while (!left.empty()) {
      const ssize_t n = ::send(p_->fd, left.data(), left.size(), MSG_NOSIGNAL);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) throw std::system_error(errno, std::generic_category());
      left = left.subspan(static_cast<std::size_t>(n));
    }
  }
}

bool TlsChannel::receive() {
  // The one thread that reads: what came before has been taken.
  ssize_t n;
  do n = ::recv(p_->fd, p_->received.data(), p_->received.size(), 0);
  while (n < 0 && errno == EINTR);
  if (n < 0) throw std::system_error(errno, std::generic_category());
  if (n == 0) return false;
  const std::lock_guard hold(tls_lock_);
  p_->taken = 0;
  p_->filled = static_cast<std::size_t>(n);
  return true;
}

void TlsChannel::handshake() {
  if (p_->ready) return;
  const auto until = std::chrono::steady_clock::now() + kHandshakeTime;
  while (true) {
    ERR_clear_error();
    int rc, error;
    {
      const std::lock_guard hold(tls_lock_);
      rc = SSL_do_handshake(p_->ssl.get());
      error = rc == 1 ? SSL_ERROR_NONE : SSL_get_error(p_->ssl.get(), rc);
    }
    if (error != SSL_ERROR_NONE && error != SSL_ERROR_WANT_READ) {
      // The alert tells the peer that it was refused.
      const long verified = SSL_get_verify_result(p_->ssl.get());
      const std::string why =
          verified != X509_V_OK ? X509_verify_cert_error_string(verified) : openssl_reason();
      try {
        const std::lock_guard hold(write_lock_);
        send_pending();
      } catch (const std::system_error&) {
      }
      throw TlsError("the TLS handshake failed: " + why + ".");
    }
    {
      const std::lock_guard hold(write_lock_);
      send_pending();
    }
    if (rc == 1) break;
    if (std::chrono::steady_clock::now() > until) throw TlsError("the TLS handshake took too long.");
    if (!receive()) throw TlsError("the peer closed the connection in the TLS handshake.");
  }
  p_->ready = true;
}

std::size_t TlsChannel::read(std::span<u8> out) {
  handshake();
  while (true) {
    std::size_t n = 0;
    int error;
    {
      const std::lock_guard hold(tls_lock_);
      ERR_clear_error();
      error = SSL_read_ex(p_->ssl.get(), out.data(), out.size(), &n) == 1 ? SSL_ERROR_NONE
                                                                          : SSL_get_error(p_->ssl.get(), 0);
      if (error == SSL_ERROR_SSL || error == SSL_ERROR_SYSCALL)
        fail("the peer refused or broke the TLS connection");
    }
    send_answers();
    if (error == SSL_ERROR_NONE) return n;
    if (error == SSL_ERROR_ZERO_RETURN || !receive()) return 0;
  }
}

void TlsChannel::write(std::span<const std::span<const u8>> parts) {
  handshake();
  {
    const std::lock_guard hold(write_lock_);
    std::size_t pending = 0;
    for (std::span<const u8> part : parts) {
      while (!part.empty()) {
        const std::size_t piece = std::min(part.size(), kPiece - pending);
        encrypt(part.first(piece));
        part = part.subspan(piece);
        pending += piece;
        if (pending == kPiece) {
          send_pending();
          pending = 0;
        }
      }
    }
    send_pending();
  }
  send_answers();
}

void TlsChannel::encrypt(std::span<const u8> data) {
  const std::lock_guard hold(tls_lock_);
  ERR_clear_error();
  std::size_t n = 0;
  if (SSL_write_ex(p_->ssl.get(), data.data(), data.size(), &n) != 1 || n != data.size())
    fail("nothing can be written");
}

void TlsChannel::end() {
  const std::lock_guard hold(write_lock_);
  {
    const std::lock_guard inner(tls_lock_);
    if (!p_->ready) return;
    SSL_shutdown(p_->ssl.get());
  }
  send_pending();
}

}  // namespace baton::devices
