// SPDX-License-Identifier: Apache-2.0
#include "devices/file_block.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <mutex>
#include <shared_mutex>
#include <stdexcept>
#include <vector>

namespace baton::devices {
namespace {

constexpr u64 kSector = 512;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int operator*() const { return fd_; }

 private:
  int fd_;
};

std::string hex(u64 value, unsigned digits) {
  std::string text(digits, '0');
  for (unsigned i = digits; i-- > 0; value >>= 4) text[i] = "0123456789ABCDEF"[value & 15];
  return text;
}

/// In the form of an AIX `unique_id`: total length, 213 (a page 83 identifier of type 3), the identifier,
/// then product, vendor and driver, the first two with their lengths. The identifier is the inode and its
/// device, which all systems that open the same file share.
std::string make_unique_id(const struct stat& status) {
  const bool block = S_ISBLK(status.st_mode);
  const dev_t device = block ? status.st_rdev : status.st_dev;
  const u64 inode = block ? 0 : status.st_ino;
  const u64 number = u64{major(device)} << 20 | (minor(device) & 0xFFFFF);
  const std::string rest =
      "2136BA70A" + hex(block ? 1 : 0, 1) + hex(number, 9 - 1) + hex(inode, 16) + "04FILE05BATONfile";
  return hex(rest.size(), 2) + rest;
}

class FileBlock final : public BlockDevice {
 public:
  FileBlock(int fd, std::string path, u64 size, std::string unique_id)
      : fd_(fd), path_(std::move(path)), size_(size), unique_id_(std::move(unique_id)) {
    struct statfs fs{};
    // On a network file system another host reads the server's copy, not our page cache.
    if (fstatfs(fd, &fs) == 0)
      shared_by_server_ =
          fs.f_type == NFS_SUPER_MAGIC || fs.f_type == SMB2_SUPER_MAGIC || fs.f_type == CIFS_SUPER_MAGIC;
  }
  ~FileBlock() override { release(); }

  u64 size() const override { return size_; }
  std::string unique_id() const override { return unique_id_; }

  BlockResult read(u64 offset, std::span<u8> out) override {
    if (!contains(offset, out.size())) return EINVAL;
    return read_all(*fd_, offset, out);
  }

  BlockResult write(u64 offset, std::span<const u8> data) override {
    std::shared_lock guard(reservation_lock_);
    if (!reserved_) return EROFS;
    if (!contains(offset, data.size())) return EINVAL;
    return write_all(offset, data);
  }

  BlockResult flush() override {
    int rc;
    do rc = fdatasync(*fd_);
    while (rc != 0 && errno == EINTR);
    return rc == 0 ? 0 : errno;
  }

  BlockResult discard(u64 offset, u64 length) override {
    std::shared_lock guard(reservation_lock_);
    if (!reserved_) return EROFS;
    if (!contains(offset, length)) return EINVAL;
    if (length == 0) return 0;
    int rc;
    do
      rc = fallocate(*fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                     static_cast<off_t>(length));
    while (rc != 0 && errno == EINTR);
    if (rc == 0) return 0;
    if (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL) return errno;
    // A file system without holes: discarded blocks still have to read as zero, as the disk promises.
    const std::vector<u8> zero(std::min<u64>(length, 1 << 20));
    for (u64 done = 0; done < length;) {
      const u64 bytes = std::min<u64>(length - done, zero.size());
      if (const BlockResult error = write_all(offset + done, std::span(zero).first(bytes))) return error;
      done += bytes;
    }
    return 0;
  }

  BlockResult reserve(const std::string& owner, std::string* holder) override {
    std::unique_lock guard(reservation_lock_);
    if (reserved_) return 0;
    struct flock lock{};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;  // From byte 0 to the end: length 0.
    // An open-file-description lock: it also excludes another system in this process, and the kernel drops it
    // however the process ends.
    if (fcntl(*fd_, F_OFD_SETLK, &lock) != 0) {
      if (errno != EAGAIN && errno != EACCES) return errno;
      if (holder) *holder = read_owner();
      return EBUSY;
    }
    reserved_ = true;
    std::ofstream(owner_path(), std::ios::trunc)
        << owner << '\n';  // Only for messages: failure does not matter.
    return 0;
  }

  void release() override {
    std::unique_lock guard(reservation_lock_);  // Waits for writes in flight.
    if (!reserved_) return;
    if (shared_by_server_) flush();
    reserved_ = false;
    unlink(owner_path().c_str());  // Before the lock goes: afterwards it may be the next owner's.
    struct flock lock{};
    lock.l_type = F_UNLCK;
    lock.l_whence = SEEK_SET;
    fcntl(*fd_, F_OFD_SETLK, &lock);
  }

 private:
  bool contains(u64 offset, u64 length) const { return length <= size_ && offset <= size_ - length; }

  BlockResult write_all(u64 offset, std::span<const u8> data) {
    while (!data.empty()) {
      const ssize_t n = pwrite(*fd_, data.data(), data.size(), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return errno;
      if (n == 0) return ENOSPC;
      data = data.subspan(static_cast<std::size_t>(n));
      offset += static_cast<u64>(n);
    }
    return 0;
  }

  std::string owner_path() const { return path_ + ".owner"; }

  std::string read_owner() const {
    std::ifstream file(owner_path());
    std::string owner;
    std::getline(file, owner);
    return owner.empty() ? "another system" : owner.substr(0, 200);
  }

  Descriptor fd_;
  std::string path_;
  u64 size_;
  std::string unique_id_;
  bool shared_by_server_ = false;
  std::shared_mutex reservation_lock_;  ///< Shared by writers, so that none is in flight when it is given up.
  bool reserved_ = false;
};

}  // namespace

BlockResult read_all(int fd, u64 offset, std::span<u8> out) {
  while (!out.empty()) {
    const ssize_t n = pread(fd, out.data(), out.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    if (n == 0) return EIO;  // Somebody made the file shorter.
    out = out.subspan(static_cast<std::size_t>(n));
    offset += static_cast<u64>(n);
  }
  return 0;
}

std::unique_ptr<BlockDevice> open_file_block(const std::string& uri, const std::string& path,
                                             const std::string& unique_id) {
  const auto fail = [&](const std::string& why) { throw std::runtime_error("disk " + uri + ": " + why); };
  if (path.empty()) fail("the path is missing; write file:PATH");
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    switch (errno) {
      case ENOENT:
        fail("no such file; create it, for example: truncate -s 8G " + path);
        break;
      case EACCES:
      case EPERM:
        fail("no permission to read and write it; change its owner or mode (chmod u+rw " + path + ")");
        break;
      case EROFS:
        fail("it is on a read-only file system; move it to one that can be written");
        break;
      case EISDIR:
        fail("it is a directory; name a file or a block device");
        break;
      case ETXTBSY:
      case ENXIO:
        fail("not a regular file or block device");
        break;
      default:
        fail(std::string("cannot be opened: ") + std::strerror(errno));
    }
  }
  struct stat status{};
  u64 size = 0;
  std::string why;
  if (fstat(fd, &status) != 0)
    why = std::string("cannot be examined: ") + std::strerror(errno);
  else if (S_ISREG(status.st_mode))
    size = static_cast<u64>(status.st_size);
  else if (!S_ISBLK(status.st_mode))
    why = "not a regular file or block device";
  else if (ioctl(fd, BLKGETSIZE64, &size) != 0)
    why = std::string("its size is unknown: ") + std::strerror(errno);
  if (why.empty() && (size == 0 || size % kSector))
    why = "its size is " + std::to_string(size) +
          " bytes; it must be a multiple of 512 and not zero (truncate -s)";
  if (!why.empty()) {
    close(fd);
    fail(why);
  }
  return std::make_unique<FileBlock>(fd, path, size, unique_id.empty() ? make_unique_id(status) : unique_id);
}

}  // namespace baton::devices
