// SPDX-License-Identifier: Apache-2.0
// Who has which part of the real mode area: a sorted table of claimed ranges.
#include "fw.h"

#define MAX_RANGES 512

static struct range {
  uint32_t start, end;
} ranges[MAX_RANGES];
static int count;
static uint32_t rma;

void memory_init(uint64_t size) {
  rma = size > 0xffff0000u ? 0xffff0000u : (uint32_t)size;
  count = 0;
}

uint32_t memory_rma(void) { return rma; }

bool memory_valid(uint32_t start, uint32_t size) { return start <= rma && size <= rma - start; }

bool memory_is_free(uint32_t start, uint32_t size) {
  if (!memory_valid(start, size)) return false;
  for (int i = 0; i < count; i++)
    if (start < ranges[i].end && ranges[i].start < start + size) return false;
  return true;
}

static void drop(int i) {
  memmove(&ranges[i], &ranges[i + 1], (size_t)(count - i - 1) * sizeof ranges[0]);
  count--;
}

static bool put(int i, uint32_t start, uint32_t end) {
  if (count == MAX_RANGES) return false;
  memmove(&ranges[i + 1], &ranges[i], (size_t)(count - i) * sizeof ranges[0]);
  ranges[i] = (struct range){start, end};
  count++;
  return true;
}

bool memory_claim(uint32_t start, uint32_t size) {
  if (size == 0 || !memory_is_free(start, size)) return false;
  uint32_t end = start + size;
  int i = 0;
  while (i < count && ranges[i].start < start) i++;
  bool joins_left = i > 0 && ranges[i - 1].end == start;
  bool joins_right = i < count && ranges[i].start == end;
  if (joins_left && joins_right) {
    ranges[i - 1].end = ranges[i].end;
    drop(i);
  } else if (joins_left) {
    ranges[i - 1].end = end;
  } else if (joins_right) {
    ranges[i].start = start;
  } else {
    return put(i, start, end);
  }
  return true;
}

bool memory_release(uint32_t start, uint32_t size) {
  if (size == 0 || !memory_valid(start, size) || start < FIRMWARE_END) return false;
  uint32_t end = start + size;
  for (int i = 0; i < count;) {
    struct range r = ranges[i];
    if (r.end <= start || r.start >= end) {
      i++;
    } else if (r.start < start && r.end > end) {
      if (!put(i + 1, end, r.end)) return false;
      ranges[i].end = start;
      return true;
    } else if (r.start < start) {
      ranges[i++].end = start;
    } else if (r.end > end) {
      ranges[i++].start = end;
    } else {
      drop(i);
    }
  }
  return true;
}

uint32_t memory_find(uint32_t size, uint32_t align) {
  if (align & (align - 1)) {  // the next power of two
    uint32_t a = 1;
    while (a && a < align) a <<= 1;
    align = a;
  }
  if (size == 0 || size > rma || align == 0) return 0;
  uint32_t top = rma;
  for (int i = count; i >= 0; i--) {
    // the gap [bottom, top) above range i-1
    uint32_t bottom = i ? ranges[i - 1].end : 0;
    if (top >= bottom && top - bottom >= size) {
      uint32_t place = (top - size) & ~(align - 1);
      if (place >= bottom && place != 0) return place;
    }
    if (i) top = ranges[i - 1].start;
  }
  return 0;
}
