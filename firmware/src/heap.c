// SPDX-License-Identifier: Apache-2.0
// First-fit heap: a list of free blocks in address order, joined with their
// neighbours on release. Every block starts with a 16-byte header.
#include "fw.h"

struct block {
  struct block* next;  // while it is free
  size_t size;         // with the header
} __attribute__((aligned(16)));

static struct block* free_list;

void heap_init(void* start, void* end) {
  uintptr_t s = ((uintptr_t)start + 15) & ~(uintptr_t)15;
  free_list = (struct block*)s;
  free_list->next = NULL;
  free_list->size = ((uintptr_t)end - s) & ~(uintptr_t)15;
}

void* heap_alloc(size_t n) {
  if (n > SIZE_MAX / 2) return NULL;
  n = ((n ? n : 1) + sizeof(struct block) + 15) & ~(size_t)15;
  for (struct block** link = &free_list; *link; link = &(*link)->next) {
    struct block* b = *link;
    if (b->size < n) continue;
    if (b->size - n >= 2 * sizeof *b) {
      struct block* rest = (struct block*)((char*)b + n);
      rest->next = b->next;
      rest->size = b->size - n;
      b->size = n;
      *link = rest;
    } else {
      *link = b->next;
    }
    return memset(b + 1, 0, b->size - sizeof *b);
  }
  return NULL;
}

void heap_free(void* p) {
  if (!p) return;
  struct block *b = (struct block*)p - 1, *before = NULL, *after = free_list;
  while (after && after < b) before = after, after = after->next;
  b->next = after;
  if (after && (char*)b + b->size == (char*)after) {
    b->size += after->size;
    b->next = after->next;
  }
  if (!before) {
    free_list = b;
  } else if ((char*)before + before->size == (char*)b) {
    before->size += b->size;
    before->next = b->next;
  } else {
    before->next = b;
  }
}

size_t heap_free_bytes(void) {
  size_t n = 0;
  for (struct block* b = free_list; b; b = b->next) n += b->size;
  return n;
}
