// SPDX-License-Identifier: Apache-2.0
#include "cpu/engine/code_room.h"

#include <sys/mman.h>

#include <new>

namespace baton::cpu {
namespace {

constexpr u64 kChunkBytes = 2 << 20;  ///< A huge page, at a multiple of its size.
constexpr u64 kAlignment = 64;

struct Place {
  Place* next;
};

}  // namespace

/// At the begin of its memory.
struct alignas(kAlignment) CodeRoom::Chunk {
  Place* free = nullptr;  ///< Places that were given back.
  u64 used = 0;           ///< Places in use.
  u64 fresh = 0;          ///< Offset of those that never were; from here to the end.
};

CodeRoom::CodeRoom(u64 bytes) : bytes_((bytes + kAlignment - 1) & ~(kAlignment - 1)) {}

/// lock_ held.
CodeRoom::Chunk* CodeRoom::add() {
  void* at = mmap(nullptr, 2 * kChunkBytes, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) throw std::bad_alloc();
  const u64 begin = reinterpret_cast<u64>(at), whole = (begin + kChunkBytes - 1) & ~(kChunkBytes - 1);
  if (whole != begin) munmap(at, whole - begin);
  munmap(reinterpret_cast<void*>(whole + kChunkBytes), begin + kChunkBytes - whole);
  auto* chunk = reinterpret_cast<Chunk*>(whole);
  madvise(chunk, kChunkBytes, MADV_HUGEPAGE);
  new (chunk) Chunk{.fresh = sizeof(Chunk)};
  free_ += (kChunkBytes - sizeof(Chunk)) / bytes_;
  open_.insert(chunk);
  return chunk;
}

void* CodeRoom::take() {
  const std::lock_guard lock(lock_);
  Chunk* chunk = open_.empty() ? add() : *open_.begin();
  Place* place = chunk->free;
  if (place) {
    chunk->free = place->next;
  } else {
    place = reinterpret_cast<Place*>(reinterpret_cast<u64>(chunk) + chunk->fresh);
    chunk->fresh += bytes_;
  }
  chunk->used++;
  free_--;
  if (!chunk->free && chunk->fresh + bytes_ > kChunkBytes) open_.erase(chunk);
  return place;
}

void CodeRoom::give_back(void* at) {
  const std::lock_guard lock(lock_);
  auto* chunk = reinterpret_cast<Chunk*>(reinterpret_cast<u64>(at) & ~(kChunkBytes - 1));
  auto* place = static_cast<Place*>(at);
  place->next = chunk->free;
  chunk->free = place;
  free_++;
  open_.insert(chunk);
  if (--chunk->used) return;
  open_.erase(chunk);
  free_ -= (kChunkBytes - sizeof(Chunk)) / bytes_;
  munmap(chunk, kChunkBytes);
}

void CodeRoom::reserve(u64 places) {
  const std::lock_guard lock(lock_);
  // Its header is in the huge page, so that the host has given the whole of it.
  while (free_ < places) add();
}

}  // namespace baton::cpu
