// SPDX-License-Identifier: Apache-2.0
#include "devices/authority.h"

#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <stdexcept>

namespace baton::devices {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

template <class T, void (*free_it)(T*)>
struct Freed {
  void operator()(T* p) const { free_it(p); }
};
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY, EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freed<X509, X509_free>>;

constexpr auto kAuthorityLife = 24h * 3650, kLife = 24h * 730, kRenewal = 24h * 30;

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error(what + "; name another directory with BATON_STATE_DIR.");
}
void need(bool done) {
  if (!done) {
    ERR_clear_error();
    throw std::runtime_error("A certificate cannot be made: OpenSSL failed.");
  }
}

/// One process at a time in a directory.
class Turn {
 public:
  explicit Turn(const std::string& directory) {
    const std::string path = directory + "/lock";
    fd_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd_ < 0 || flock(fd_, LOCK_EX))
      fail("The file " + path + " cannot be locked: " + std::strerror(errno));
  }
  ~Turn() { close(fd_); }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  int fd_;
};

/// Whole or not at all, readable by the owner only.
void write_file(const std::string& path, const std::function<int(BIO*)>& write) {
  const std::string temporary = path + ".new";
  unlink(temporary.c_str());
  const int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) fail("The file " + temporary + " cannot be made: " + std::strerror(errno));
  BIO* bio = BIO_new_fd(fd, BIO_CLOSE);
  const bool written = bio && write(bio) == 1;
  BIO_free(bio);
  if (!written || rename(temporary.c_str(), path.c_str())) fail("The file " + path + " cannot be written");
}

template <class T>
T read_file(const std::string& path, const std::function<typename T::pointer(BIO*)>& read) {
  BIO* bio = BIO_new_file(path.c_str(), "r");
  T out(bio ? read(bio) : nullptr);
  BIO_free(bio);
  ERR_clear_error();
  return out;
}
Certificate read_certificate(const std::string& path) {
  return read_file<Certificate>(path,
                                [](BIO* bio) { return PEM_read_bio_X509(bio, nullptr, nullptr, nullptr); });
}
Key read_key(const std::string& path) {
  return read_file<Key>(path,
                        [](BIO* bio) { return PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr); });
}

void extend(X509* certificate, X509* issuer, int what, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, what, value.c_str());
  need(extension && X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

/// `issuer` null: it signs itself and is an authority.
Certificate make(const std::string& name, EVP_PKEY* key, X509* issuer, EVP_PKEY* signer, Validity validity) {
  Certificate certificate(X509_new());
  X509* c = certificate.get();
  need(c && X509_set_version(c, 2) == 1);
  u8 serial[16];
  need(RAND_bytes(serial, sizeof serial) == 1);
  serial[0] &= 0x7F;
  BIGNUM* number = BN_bin2bn(serial, sizeof serial, nullptr);
  need(number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(c)));
  BN_free(number);
  need(X509_gmtime_adj(X509_getm_notBefore(c), validity.from.count()) &&
       X509_gmtime_adj(X509_getm_notAfter(c), validity.until.count()));
  X509_NAME* subject = X509_get_subject_name(c);
  need(X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_ASC, reinterpret_cast<const u8*>("Baton"), -1, -1,
                                  0) &&
       X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const u8*>(name.c_str()), -1,
                                  -1, 0));
  need(X509_set_issuer_name(c, issuer ? X509_get_subject_name(issuer) : subject) == 1 &&
       X509_set_pubkey(c, key) == 1);
  if (issuer) {
    extend(c, issuer, NID_basic_constraints, "critical,CA:FALSE");
    extend(c, issuer, NID_key_usage, "critical,digitalSignature");
    extend(c, issuer, NID_ext_key_usage, "serverAuth,clientAuth");
    extend(c, issuer, NID_subject_alt_name, "DNS:" + name);
  } else {
    extend(c, c, NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
    extend(c, c, NID_key_usage, "critical,keyCertSign,cRLSign");
  }
  need(X509_sign(c, signer, EVP_sha256()) > 0);
  return certificate;
}

Key new_key() {
  Key key(EVP_EC_gen("P-256"));
  need(key != nullptr);
  return key;
}

void write_both(const TlsFiles& files, X509* certificate, EVP_PKEY* key) {
  // The key first: a certificate without its key would be taken for usable.
  write_file(files.key, [&](BIO* bio) {
    return PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  });
  write_file(files.certificate, [&](BIO* bio) { return PEM_write_bio_X509(bio, certificate); });
}

struct Authority {
  Certificate certificate;
  Key key;
};

/// With the directory's turn.
Authority authority_in(const std::string& directory) {
  const TlsFiles files{{}, directory + "/ca.pem", directory + "/ca.key"};
  Authority authority{read_certificate(files.certificate), read_key(files.key)};
  const bool certificate_there = fs::exists(files.certificate), key_there = fs::exists(files.key);
  if (certificate_there && key_there) {
    if (!authority.certificate || !authority.key ||
        X509_check_private_key(authority.certificate.get(), authority.key.get()) != 1)
      fail("The certificate authority in " + directory + " is damaged: ca.pem and ca.key do not fit");
    return authority;
  }
  if (certificate_there)
    fail("The certificate authority in " + directory +
         " has no ca.key, so that it cannot sign a certificate for this system");
  authority.key = new_key();
  authority.certificate = make("Baton local authority", authority.key.get(), nullptr, authority.key.get(),
                               {.from = -1h, .until = kAuthorityLife});
  write_both(files, authority.certificate.get(), authority.key.get());
  return authority;
}

TlsFiles files_of(const std::string& directory, const std::string& name) {
  const std::string own = directory + "/certificates";  // No system's name is that of the authority's file.
  if (mkdir(own.c_str(), 0700) && errno != EEXIST) fail("The directory " + own + " cannot be made");
  return {directory + "/ca.pem", own + "/" + name + ".pem", own + "/" + name + ".key"};
}

TlsFiles issue_by(const Authority& authority, const std::string& directory, const std::string& name,
                  Validity validity) {
  const TlsFiles files = files_of(directory, name);
  const Key key = new_key();
  write_both(files, make(name, key.get(), authority.certificate.get(), authority.key.get(), validity).get(),
             key.get());
  return files;
}

}  // namespace

std::string state_directory(const std::string& override_path) {
  std::string path = override_path;
  if (path.empty()) {
    if (const char* from = std::getenv("BATON_STATE_DIR"); from && *from)
      path = from;
    else if (const char* xdg = std::getenv("XDG_STATE_HOME"); xdg && *xdg)
      path = std::string(xdg) + "/baton";
    else if (const char* home = std::getenv("HOME"); home && *home)
      path = std::string(home) + "/.local/state/baton";
    else
      fail("There is no HOME to keep certificates in");
  }
  path = fs::absolute(path).lexically_normal();
  std::error_code error;
  fs::create_directories(fs::path(path).parent_path(), error);
  if (mkdir(path.c_str(), 0700) && errno != EEXIST)
    fail("The state directory " + path + " cannot be made: " + std::strerror(errno));
  struct stat info{};
  if (lstat(path.c_str(), &info) || !S_ISDIR(info.st_mode) || info.st_uid != getuid())
    fail("The state directory " + path + " is not a directory of yours");
  if (info.st_mode & 077)
    fail("The state directory " + path + " is open to other users: close it with \"chmod 700 " + path + "\"");
  return path;
}

TlsFiles local_identity(const std::string& directory, const std::string& name) {
  const Turn turn(directory);
  const Authority authority = authority_in(directory);
  const TlsFiles files = files_of(directory, name);
  const Certificate certificate = read_certificate(files.certificate);
  const Key key = read_key(files.key);
  time_t renewal = time(nullptr) + std::chrono::seconds(kRenewal).count();
  const bool usable = certificate && key && X509_check_private_key(certificate.get(), key.get()) == 1 &&
                      X509_verify(certificate.get(), authority.key.get()) == 1 &&
                      X509_cmp_time(X509_get0_notAfter(certificate.get()), &renewal) > 0;
  ERR_clear_error();
  return usable ? files : issue_by(authority, directory, name, {.from = -1h, .until = kLife});
}

TlsFiles issue(const std::string& directory, const std::string& name, Validity validity) {
  const Turn turn(directory);
  return issue_by(authority_in(directory), directory, name, validity);
}

}  // namespace baton::devices
