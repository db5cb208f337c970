// SPDX-License-Identifier: Apache-2.0
// Loads the configured kernel image (ELF, big-endian PowerPC) and starts it.
#include "fw.h"

enum { ELF_PHDR32 = 32, ELF_PHDR64 = 56, MAX_SEGMENTS = 32 };
enum { EM_PPC = 20, EM_PPC64 = 21, PT_LOAD = 1 };
#define MSR_SF (1ull << 63)
#define MSR_FP 0x2000ull
#define MSR_ME 0x1000ull

static const uint32_t PAGE = 0x10000;

struct segment {
  uint64_t address, memory_size, file_offset, file_size;
};

static bool configured_kernel(uint64_t* address, uint64_t* size) {
  struct node* chosen = tree_child(tree_root, "chosen");
  struct property* p = chosen ? prop_find(chosen, "baton,boot-kernel") : NULL;
  if (!p || p->len != 16) return false;
  *address = be64_load(p->value);
  *size = be64_load(p->value + 8);
  return true;
}

bool kernel_configured(void) {
  uint64_t a, s;
  return configured_kernel(&a, &s);
}

static void check_header(const uint8_t* image, uint32_t size) {
  if (size < 4) fatal("the kernel image is only %u bytes long.", size);
  if (image[0] == 0x1f && image[1] == 0x8b)
    fatal(
        "the kernel image is compressed with gzip; configure the uncompressed vmlinux or a zImage.pseries.");
  if (memcmp(image, "\177ELF", 4) != 0)
    fatal("the kernel image is not an ELF file (it begins with %02x %02x %02x %02x).", image[0], image[1],
          image[2], image[3]);
  if (size < 52) fatal("the kernel image is damaged: its ELF header is cut off after %u bytes.", size);
  if (image[5] == 1)
    fatal("the kernel image is little-endian; this partition runs big-endian PowerPC kernels.");
  if (image[5] != 2 || (image[4] != 1 && image[4] != 2))
    fatal("the kernel image is damaged: its ELF header has class %u and byte order %u.", image[4], image[5]);
  if (image[4] == 2 && size < 64)
    fatal("the kernel image is damaged: its ELF header is cut off after %u bytes.", size);
  uint32_t machine = be16_load(image + 18), wanted = image[4] == 2 ? EM_PPC64 : EM_PPC;
  if (machine != wanted)
    fatal("the kernel image is for ELF machine %u, not for PowerPC (%u).", machine, wanted);
  uint32_t type = be16_load(image + 16);
  if (type != 2 && type != 3) fatal("the kernel image is an ELF file of type %u, not an executable.", type);
}

// Collects the segments to load; their addresses are the image's own.
static int read_segments(const uint8_t* image, uint32_t size, bool is64, struct segment* segments) {
  uint64_t offset = is64 ? be64_load(image + 32) : be32_load(image + 28);
  uint32_t entry_size = be16_load(image + (is64 ? 54 : 42)), count = be16_load(image + (is64 ? 56 : 44));
  if (entry_size < (is64 ? ELF_PHDR64 : ELF_PHDR32) || offset > size || count * entry_size > size - offset)
    fatal("the kernel image is damaged: its program headers reach beyond the end of the file (%u bytes).",
          size);
  int n = 0;
  bool physical = false;
  for (int pass = 0; pass < 2; pass++)
    for (uint32_t i = 0; i < count; i++) {
      const uint8_t* h = image + offset + i * entry_size;
      if (be32_load(h) != PT_LOAD) continue;
      if (pass == 0) {
        if (!is64 && be32_load(h + 12)) physical = true;
        continue;
      }
      struct segment s;
      if (is64)
        s = (struct segment){be64_load(h + 16), be64_load(h + 40), be64_load(h + 8), be64_load(h + 32)};
      else
        s = (struct segment){be32_load(h + (physical ? 12 : 8)), be32_load(h + 20), be32_load(h + 4),
                             be32_load(h + 16)};
      if (s.memory_size == 0) continue;
      if (s.file_size > s.memory_size || s.address + s.memory_size < s.address)
        fatal("the kernel image is damaged: segment %u has impossible sizes.", i);
      if (s.file_offset > size || s.file_size > size - s.file_offset)
        fatal("the kernel image is damaged: segment %u reaches to byte 0x%llx, but the file ends at 0x%x.", i,
              s.file_offset + s.file_size, size);
      if (n == MAX_SEGMENTS) fatal("the kernel image has more than %u segments.", (uint32_t)MAX_SEGMENTS);
      segments[n++] = s;
    }
  if (n == 0) fatal("the kernel image is damaged: it has no segment to load.");
  return n;
}

// Linux looks for free memory above the end of the initial RAM disk, so it must
// not lie at the top: it goes right behind the kernel.
static void place_initrd(uint32_t kernel_end, uint64_t* start, uint64_t* size) {
  struct node* chosen = tree_make("/chosen");
  uint64_t from = 0, to = 0;
  *start = *size = 0;
  if (!prop_number(chosen, "linux,initrd-start", &from) || !prop_number(chosen, "linux,initrd-end", &to))
    return;
  if (to <= from) return;
  uint32_t length = (uint32_t)(to - from);
  uint64_t place = ((uint64_t)kernel_end + PAGE - 1) & ~(uint64_t)(PAGE - 1);
  memory_release((uint32_t)from, length);
  if (place < from && place + length <= memory_rma() && memory_is_free((uint32_t)place, length)) {
    memmove((void*)(uintptr_t)place, (void*)(uintptr_t)from, length);
    from = place;
    prop_set_u64(chosen, "linux,initrd-start", from);
    prop_set_u64(chosen, "linux,initrd-end", from + length);
  }
  memory_claim((uint32_t)from, length);
  *start = from;
  *size = length;
}

static struct kernel load(uint32_t file, uint32_t size) {
  const uint8_t* image = (const uint8_t*)file;
  check_header(image, size);
  bool is64 = image[4] == 2;
  struct segment segments[MAX_SEGMENTS];
  int n = read_segments(image, size, is64, segments);
  uint64_t entry = is64 ? be64_load(image + 24) : be32_load(image + 24);

  uint64_t lowest = UINT64_MAX, highest = 0, used = 0;
  for (int i = 0; i < n; i++) {
    struct segment* s = &segments[i];
    if (s->address < lowest) lowest = s->address;
    if (s->address + s->memory_size > highest) highest = s->address + s->memory_size;
    if (s->file_offset + s->file_size > used) used = s->file_offset + s->file_size;
  }
  if (entry < lowest || entry >= highest)
    fatal("the kernel image is damaged: its entry point 0x%llx lies outside its segments.", entry);
  uint64_t base = is64 ? KERNEL_BASE : lowest, length = highest - lowest;
  if (base < FIRMWARE_END)
    fatal("the kernel image wants to be loaded at 0x%llx, where the partition firmware is (below 0x%x).",
          base, FIRMWARE_END);
  if (length > memory_rma() || base + length > memory_rma())
    fatal(
        "the kernel image is too large: loaded at 0x%llx it ends at 0x%llx, but the real mode area ends at "
        "0x%x.",
        base, base + length, memory_rma());

  // The file may lie where its segments go: load from a copy out of the way.
  // It is looked for with the kernel's place taken.
  memory_release(file, size);
  if (!memory_claim((uint32_t)base, (uint32_t)length))
    fatal("the kernel image wants the memory from 0x%llx to 0x%llx, a part of which is taken.", base,
          base + length);
  bool clear_of_file = base + length <= file || base >= (uint64_t)file + size;
  uint32_t copy = file, copy_size = ((uint32_t)used + 15) & ~15u;
  if (!clear_of_file) {
    copy = memory_find(copy_size, 4096);
    // not over the file itself, which is being read
    if (!copy || copy < file + used)
      fatal(
          "the kernel image is too large: %u KB to load and %u KB in memory do not fit into the real mode "
          "area "
          "of %u MB together.",
          copy_size >> 10, (uint32_t)(length >> 10), memory_rma() >> 20);
    memmove((void*)copy, image, (size_t)used);
  }
  for (int i = 0; i < n; i++) {
    struct segment* s = &segments[i];
    uint8_t* to = (uint8_t*)(uint32_t)(base + (s->address - lowest));
    memmove(to, (const uint8_t*)copy + s->file_offset, (size_t)s->file_size);
    memset(to + s->file_size, 0, (size_t)(s->memory_size - s->file_size));
  }
  sync_icache((uint32_t)base, (uint32_t)length);
  return (struct kernel){(uint32_t)(base + (entry - lowest)), (uint32_t)base, (uint32_t)(base + length),
                         is64};
}

void boot_kernel(void) {
  uint64_t address, size;
  progress("CA00E139");
  if (!configured_kernel(&address, &size)) fatal("no kernel image is configured.");
  if (size == 0) fatal("the kernel image is empty.");
  progress("CA00E14D");
  struct kernel k = load((uint32_t)address, (uint32_t)size);
  uint64_t initrd, initrd_size;
  place_initrd(k.end, &initrd, &initrd_size);
  print("Kernel: %s at 0x%x to 0x%x, entry 0x%x\n", k.is64 ? "64-bit ELF" : "32-bit ELF", k.start, k.end,
        k.entry);
  if (initrd_size) print("Initial RAM disk: %u KB at 0x%llx\n", (uint32_t)(initrd_size >> 10), initrd);
  struct client_start start = {
      .pc = k.entry,
      .msr = (k.is64 ? MSR_SF : 0) | MSR_FP | MSR_ME,
      .r1 = (uintptr_t)client_stack_top - 64,
      .r3 = initrd,
      .r4 = initrd_size,
      .r5 = (uintptr_t)client_entry,
  };
  enter_client(&start);
}
