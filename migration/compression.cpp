// SPDX-License-Identifier: Apache-2.0
#include "migration/compression.h"

#include <zstd.h>

#include <new>

#include "migration/stream.h"

namespace baton::migration {
namespace {

constexpr int kLevel = 1;  ///< Faster than the links where it pays.
/// What is sent is at most this share of what it stands for; else it goes as it is.
constexpr double kWorthwhile = 0.9;

}  // namespace

struct Compressor::Private {
  std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context{ZSTD_createCCtx(), ZSTD_freeCCtx};
  std::vector<u8> plain, packed;
};

Compressor::Compressor() : p_(std::make_unique<Private>()) {
  if (!p_->context) throw std::bad_alloc();
}
Compressor::~Compressor() = default;

std::span<const u8> Compressor::compress(std::span<const std::span<const u8>> parts) {
  p_->plain.clear();
  for (const std::span<const u8>& part : parts) p_->plain.insert(p_->plain.end(), part.begin(), part.end());
  const auto room = static_cast<std::size_t>(static_cast<double>(p_->plain.size()) * kWorthwhile);
  if (p_->packed.size() < room) p_->packed.resize(room);
  const std::size_t size = ZSTD_compressCCtx(p_->context.get(), p_->packed.data(), room, p_->plain.data(),
                                             p_->plain.size(), kLevel);
  if (ZSTD_isError(size)) return {};  // It does not fit.
  return std::span(p_->packed).first(size);
}

struct Decompressor::Private {
  std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context{ZSTD_createDCtx(), ZSTD_freeDCtx};
  std::vector<u8> plain;
};

Decompressor::Decompressor() : p_(std::make_unique<Private>()) {
  if (!p_->context) throw std::bad_alloc();
}
Decompressor::~Decompressor() = default;

std::span<const u8> Decompressor::decompress(std::span<const u8> packed, u64 most) {
  const unsigned long long size = ZSTD_getFrameContentSize(packed.data(), packed.size());
  // Neither "unknown" nor "error" is this small.
  if (size > most)
    throw StreamError("The migration stream is damaged: a compressed frame has no size that can be.");
  if (p_->plain.size() < size) p_->plain.resize(size);
  const std::size_t got =
      ZSTD_decompressDCtx(p_->context.get(), p_->plain.data(), size, packed.data(), packed.size());
  if (ZSTD_isError(got) || got != size)
    throw StreamError("The migration stream is damaged: a compressed frame cannot be read.");
  return std::span(p_->plain).first(size);
}

}  // namespace baton::migration
