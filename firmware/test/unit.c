// SPDX-License-Identifier: Apache-2.0
// Host test of the parts without hardware: device tree, heap, claimed memory.
// Usage: unit [dtb to damage at random]
#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>

#include "../src/fw.h"

static int failures;
#define CHECK(e) ((e) ? (void)0 : (failures++, (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #e)))

void copy_blocks(void* to, const void* from, uint32_t blocks) {
  uint64_t* t = to;
  const uint64_t* f = from;
  for (uint32_t i = 0; i < blocks * 4; i++) t[i] = f[i];
}

static char pool[0x1c0000] __attribute__((aligned(16)));
static char blob[0x10000];

static void restart(void) {
  tree_reset();
  heap_init(pool, pool + sizeof pool);
}

static void base_tree(void) {
  fdt_create(blob, sizeof blob);
  fdt_finish_reservemap(blob);
  fdt_begin_node(blob, "");
  fdt_property_string(blob, "model", "IBM,9117-MMA");
  fdt_begin_node(blob, "cpus");
  fdt_begin_node(blob, "PowerPC,POWER6@0");
  fdt_property_u32(blob, "ibm,phandle", 0x10);
  fdt_property_u32(blob, "reg", 0);
  fdt_property_u32(blob, "cpu-version", 0x003e0301);
  fdt_end_node(blob);
  fdt_begin_node(blob, "PowerPC,POWER6@2");
  fdt_property_u32(blob, "ibm,phandle", 0x10);  // a second owner gets another one
  fdt_property_u32(blob, "reg", 2);
  fdt_end_node(blob);
  fdt_end_node(blob);
  fdt_begin_node(blob, "memory@10000000");
  fdt_end_node(blob);
  fdt_begin_node(blob, "vdevice");
  fdt_begin_node(blob, "v-scsi@30000002");
  fdt_property_string(blob, "name", "a name that is not taken over");
  fdt_end_node(blob);
  fdt_end_node(blob);
  fdt_begin_node(blob, "aliases");
  fdt_property_string(blob, "disk", "/vdevice/v-scsi@30000002");
  fdt_property_string(blob, "bus", "/vdevice");
  fdt_end_node(blob);
  fdt_end_node(blob);
  fdt_finish(blob);
}

static void test_tree(void) {
  restart();
  base_tree();
  CHECK(tree_merge(blob, sizeof blob) == NULL);
  struct node *cpu0 = tree_find("/cpus/PowerPC,POWER6@0"), *cpu2 = tree_find("/cpus/@2");
  CHECK(cpu0 && cpu2 && cpu0 != cpu2);
  CHECK(cpu0->phandle == 0x10 && cpu2->phandle != 0x10 && tree_by_phandle(cpu2->phandle) == cpu2);
  CHECK(tree_find("/cpus/POWER6@2") == cpu2);
  CHECK(tree_find("/cpus/PowerPC,POWER6@00") == cpu0);
  CHECK(tree_find("/cpus/PowerPC,POWER6@3") == NULL);
  CHECK(tree_find("disk") == tree_find("/vdevice/v-scsi") && tree_find("disk"));
  CHECK(tree_find("disk:1,/boot/grub") == tree_find("disk"));
  CHECK(tree_find("bus/v-scsi") == tree_find("disk"));
  CHECK(tree_find("/vdevice/v-scsi@0x30000002") == NULL);
  CHECK(tree_find("") == NULL && tree_find("nothing") == NULL && tree_find("/") == tree_root);
  CHECK(strcmp(prop_string(tree_find("disk"), "name"), "v-scsi") == 0);
  CHECK(prop_find(tree_root, "name")->len == 1);
  char path[64];
  size_t len = tree_path(cpu2, path, sizeof path - 1);
  path[len] = 0;
  CHECK(strcmp(path, "/cpus/PowerPC,POWER6@2") == 0);
  CHECK(tree_path(tree_root, path, 1) == 1 && path[0] == '/');
  CHECK(tree_path(cpu2, NULL, 0) == len);
}

static void test_merge(void) {
  restart();
  base_tree();
  CHECK(tree_merge(blob, sizeof blob) == NULL);
  uint32_t memory_handle = tree_find("/memory")->phandle;
  fdt_create(blob, sizeof blob);
  fdt_finish_reservemap(blob);
  fdt_begin_node(blob, "");
  fdt_begin_node(blob, "cpus");
  fdt_begin_node(blob, "PowerPC,POWER6@0");
  fdt_property_u32(blob, "cpu-version", 0x0f000002);
  fdt_end_node(blob);
  fdt_end_node(blob);
  fdt_begin_node(blob, "memory@10000000");
  fdt_property(blob, DELETE_MARK, NULL, 0);
  fdt_end_node(blob);
  fdt_begin_node(blob, "aliases");
  fdt_property(blob, DELETE_PROPERTIES, "bus\0nothing\0name", 17);
  fdt_property_string(blob, "last", "/vdevice");
  fdt_end_node(blob);
  fdt_begin_node(blob, "vdevice");
  fdt_property(blob, DELETE_PROPERTIES, "no end", 6);
  fdt_end_node(blob);
  fdt_begin_node(blob, "ibm,dynamic-reconfiguration-memory");
  fdt_property_u64(blob, "ibm,lmb-size", 0x1000000);
  fdt_end_node(blob);
  fdt_begin_node(blob, "chosen");
  fdt_property(blob, "ibm,architecture-vec-5", "\0\200", 2);
  fdt_end_node(blob);
  fdt_end_node(blob);
  fdt_finish(blob);
  CHECK(tree_merge(blob, sizeof blob) == NULL);
  uint32_t v = 0;
  uint64_t w = 0;
  CHECK(prop_u32(tree_find("/cpus/@0"), "cpu-version", &v) && v == 0x0f000002);
  CHECK(prop_u32(tree_find("/cpus/@0"), "reg", &v) && v == 0);
  CHECK(!tree_find("/memory") && !tree_by_phandle(memory_handle));
  CHECK(prop_number(tree_find("/ibm,dynamic-reconfiguration-memory"), "ibm,lmb-size", &w) && w == 0x1000000);
  struct node* aliases = tree_find("/aliases");
  CHECK(!prop_find(aliases, "bus") && prop_find(aliases, "disk") && prop_find(aliases, "name"));
  CHECK(strcmp(prop_string(aliases, "last"), "/vdevice") == 0 && !prop_find(aliases, DELETE_PROPERTIES));
  CHECK(tree_find("/chosen")->phandle != 0 &&
        prop_find(tree_find("/chosen"), "ibm,architecture-vec-5")->len == 2);
  CHECK(strcmp(prop_string(tree_root, "model"), "IBM,9117-MMA") == 0);
}

static void test_damage(const char* file) {
  base_tree();
  size_t size = fdt_totalsize(blob);
  char* original = blob;
  if (file) {
    FILE* f = fopen(file, "rb");
    original = malloc(0x100000);
    size = f ? fread(original, 1, 0x100000, f) : 0;
    if (f) fclose(f);
  }
  srand(6);
  int refused = 0, rounds = file ? 3000 : 20000;
  for (int i = 0; i < rounds; i++) {
    char* copy = malloc(size);  // so that a read behind it is seen
    memcpy(copy, original, size);
    for (int k = rand() % 4; k >= 0; k--)
      copy[(unsigned)rand() % (rand() % 2 ? size : 64)] ^= (char)(1 << rand() % 8);
    restart();
    refused += tree_merge(copy, size) != NULL;
    for (struct node* n = tree_root; n; n = tree_next(n, tree_root)) CHECK(n->name[0] || n == tree_root);
    free(copy);
  }
  for (size_t cut = 0; cut < (size < 2000 ? size : 2000); cut++) {
    char* copy = malloc(cut + 1);
    memcpy(copy, original, cut);
    restart();
    CHECK(tree_merge(copy, cut) != NULL);
    free(copy);
  }
  printf("damaged trees: %d of %d refused\n", refused, rounds);
  if (file) free(original);
}

static void test_memory(void) {
  memory_init(512u << 20);
  CHECK(memory_claim(0, FIRMWARE_END));
  CHECK(!memory_claim(FIRMWARE_END - 1, 2) && !memory_claim(0x1fffffff, 2) && !memory_claim(0x300000, 0));
  CHECK(!memory_claim(0xfffff000, 0x2000) && !memory_release(0x1000, 0x1000));
  CHECK(memory_find(0x1000, 0x1000) == 0x1ffff000);
  CHECK(memory_claim(0x1ffff000, 0x1000) && memory_find(0x1000, 0x1000) == 0x1fffe000);
  CHECK(memory_find(0x1000, 0x10000) == 0x1fff0000 && memory_find(0x20000000, 1) == 0 &&
        memory_find(16, 3) != 0);
  CHECK(memory_claim(0x400000, 0x100000) && memory_claim(0x600000, 0x100000) &&
        memory_claim(0x500000, 0x100000));
  CHECK(!memory_claim(0x4fffff, 1) && memory_release(0x480000, 0x200000) && memory_claim(0x480000, 0x200000));
  CHECK(!memory_is_free(0x6fffff, 1) && memory_is_free(0x700000, 1));
  // against a map of pages
  static bool map[0x2000];
  memory_init(sizeof map * 0x1000);
  srand(7);
  for (int i = 0; i < 100000; i++) {
    uint32_t at = (uint32_t)rand() % sizeof map, n = 1 + (uint32_t)rand() % 64;
    bool fits = at + n <= sizeof map, free_ = fits;
    for (uint32_t k = at; fits && k < at + n; k++) free_ &= !map[k];
    bool set = rand() % 2;
    if (set) {
      CHECK(memory_is_free(at << 12, n << 12) == free_);
      if (memory_claim(at << 12, n << 12) != free_) free_ = false, CHECK(!"claim");
      if (free_) memset(map + at, 1, n);
    } else if (fits && at >= FIRMWARE_END >> 12) {
      CHECK(memory_release(at << 12, n << 12));
      memset(map + at, 0, n);
    }
  }
}

static void test_heap(void) {
  static struct {
    unsigned char* p;
    size_t n;
    unsigned char tag;
  } held[200];
  restart();
  size_t all = heap_free_bytes();
  srand(8);
  for (int i = 0; i < 200000; i++) {
    int k = rand() % 200;
    for (size_t j = 0; j < held[k].n; j += 7) CHECK(held[k].p[j] == held[k].tag);
    heap_free(held[k].p);
    held[k].n = (size_t)rand() % (rand() % 10 ? 64 : 20000);
    held[k].p = heap_alloc(held[k].n);
    if (!held[k].p) held[k].n = 0;
    held[k].tag = (unsigned char)i;
    memset(held[k].p ? held[k].p : (unsigned char*)blob, (unsigned char)i, held[k].n);
  }
  for (int k = 0; k < 200; k++) heap_free(held[k].p);
  CHECK(heap_free_bytes() == all && heap_alloc(all - 16) && !heap_alloc(1));
}

int main(int argc, char** argv) {
  test_tree();
  test_merge();
  test_memory();
  test_heap();
  test_damage(NULL);
  if (argc > 1) test_damage(argv[1]);
  printf("%s\n", failures ? "FAILED" : "passed");
  return failures != 0;
}
