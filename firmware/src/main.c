// SPDX-License-Identifier: Apache-2.0
// From reset to the kernel or the prompt.
#include "fw.h"

void firmware_main(uint32_t fdt);
void firmware_exception(uint32_t vector, uint64_t srr0, uint64_t srr1, uint64_t dar, uint32_t lr);
void firmware_reset_again(void);
void firmware_client_returned(void);

void firmware_exception(uint32_t vector, uint64_t srr0, uint64_t srr1, uint64_t dar, uint32_t lr) {
  print("\nSRR0 %016llx  SRR1 %016llx  DAR %016llx  LR %08x\n", srr0, srr1, dar, lr);
  fatal("unexpected exception %x at %016llx.", vector, srr0);
}

void firmware_reset_again(void) {
  print("\nSystem reset; the partition restarts.\n");
  reboot();
}

void firmware_client_returned(void) {
  print("\nThe client program has returned; the partition stops.\n");
  power_off();
}

// The first range of the first memory node is the real mode area; the sum of
// all is the partition's memory.
static uint64_t real_mode_area(uint64_t* total) {
  uint32_t ac = 2, sc = 2;
  uint64_t rma = 0;
  prop_u32(tree_root, "#address-cells", &ac);
  prop_u32(tree_root, "#size-cells", &sc);
  *total = 0;
  if (ac < 1 || ac > 2 || sc < 1 || sc > 2) return 0;
  for (struct node* n = tree_root->child; n; n = n->peer) {
    const char* type = prop_string(n, "device_type");
    struct property* reg = prop_find(n, "reg");
    if (!type || strcmp(type, "memory") != 0 || !reg) continue;
    for (uint32_t i = 0; i + 4 * (ac + sc) <= reg->len; i += 4 * (ac + sc)) {
      const uint8_t* p = reg->value + i;
      uint64_t start = ac == 2 ? be64_load(p) : be32_load(p);
      uint64_t size = sc == 2 ? be64_load(p + 8 - (ac == 1 ? 4 : 0)) : be32_load(p + 4 * ac);
      *total += size;
      if (start == 0 && !rma) rma = size;
    }
  }
  return rma;
}

static void claim_given(const char* what, uint64_t start, uint64_t end) {
  if (start == end) return;
  if (end < start || end > memory_rma() || !memory_claim((uint32_t)start, (uint32_t)(end - start)))
    fatal("the %s (0x%llx to 0x%llx) lies outside the real mode area of %u MB or over something else.", what,
          start, end, memory_rma() >> 20);
}

static void banner(uint64_t total) {
  uint32_t number = 0, cpus = 0;
  const char* name = prop_string(tree_root, "ibm,partition-name");
  for (struct node* n = tree_root; n; n = tree_next(n, tree_root)) {
    const char* type = prop_string(n, "device_type");
    cpus += type && strcmp(type, "cpu") == 0;
  }
  print("\nBaton partition firmware " FIRMWARE_VERSION "\n");
  print("%s", prop_string(tree_root, "model"));
  if (prop_string(tree_root, "system-id")) print("  %s", prop_string(tree_root, "system-id"));
  if (prop_u32(tree_root, "ibm,partition-no", &number)) print("  partition %u", number);
  if (name) print(" \"%s\"", name);
  print("\n%u processor%s (PVR %08x), %u MB memory, %u MB real mode area\n\n", cpus, cpus == 1 ? "" : "s",
        processor_version(), (uint32_t)(total >> 20), memory_rma() >> 20);
}

void firmware_main(uint32_t fdt) {
  heap_init(heap_start, heap_end);
  progress("CA000000");
  if (fdt < 0x1000 || (fdt & 3)) fatal("there is no device tree: register 3 has %08x.", fdt);
  const char* wrong = tree_merge((const void*)fdt, 0x1000000);
  if (wrong) fatal("the device tree at %08x %s.", fdt, wrong);
  struct node* vty = tree_find("/vdevice/vty");
  uint32_t termno;
  if (vty && prop_u32(vty, "reg", &termno)) console_set(termno);
  platform_init();
  progress("CA000020");

  uint64_t total, rma = real_mode_area(&total), address = 0, size = 0;
  if (rma < 0x1000000) fatal("the real mode area has only %u KB.", (uint32_t)(rma >> 10));
  memory_init(rma);
  memory_claim(0, FIRMWARE_END);
  struct node* chosen = tree_make("/chosen");
  struct property* kernel = prop_find(chosen, "baton,boot-kernel");
  if (kernel && kernel->len == 16) {
    address = be64_load(kernel->value);
    size = be64_load(kernel->value + 8);
    claim_given("kernel image", address, address + size);
  }
  if (prop_number(chosen, "linux,initrd-start", &address) && prop_number(chosen, "linux,initrd-end", &size))
    claim_given("initial RAM disk", address, size);

  progress("CA000040");
  if (!tree_child(tree_root, "rtas")) print("The device tree has no RTAS.\n");
  progress("CA000050");
  progress("CA000060");
  client_init(be32_load((const void*)(fdt + 28)));  // the header's boot_cpuid_phys
  progress("CA000070");
  progress("CA00E101");
  progress("CA000080");
  banner(total);
  if (kernel_configured()) boot_kernel();
  progress("AA00E1A8");
  print("No kernel is configured; \"help\" lists the commands.\n");
  prompt();
}
