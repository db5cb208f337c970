// SPDX-License-Identifier: Apache-2.0
// Everything the parts of the partition firmware share.
#ifndef BATON_FIRMWARE_FW_H
#define BATON_FIRMWARE_FW_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FIRMWARE_VERSION "BF060_001"
#define FIRMWARE_END 0x200000u  // image, .bss and heap lie below
#define KERNEL_BASE 0x400000u   // where a 64-bit kernel is loaded

// ---- strings and memory (lib.c) ----
void* memcpy(void* to, const void* from, size_t n);
void* memmove(void* to, const void* from, size_t n);
void* memset(void* to, int c, size_t n);
int memcmp(const void* a, const void* b, size_t n);
size_t strlen(const char* s);
int strcmp(const char* a, const char* b);
int strncmp(const char* a, const char* b, size_t n);
char* strchr(const char* s, int c);

static inline uint32_t be32_load(const void* p) {
  const uint8_t* b = p;
  return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}
static inline uint64_t be64_load(const void* p) {
  return (uint64_t)be32_load(p) << 32 | be32_load((const uint8_t*)p + 4);
}
static inline void be32_store(void* p, uint32_t v) {
  uint8_t* b = p;
  b[0] = (uint8_t)(v >> 24);
  b[1] = (uint8_t)(v >> 16);
  b[2] = (uint8_t)(v >> 8);
  b[3] = (uint8_t)v;
}
static inline uint16_t be16_load(const void* p) {
  const uint8_t* b = p;
  return (uint16_t)(b[0] << 8 | b[1]);
}

// ---- heap (heap.c) ----
void heap_init(void* start, void* end);
void* heap_alloc(size_t n);  // zeroed, 16-byte aligned; NULL when full
void heap_free(void* p);
size_t heap_free_bytes(void);

// ---- device tree (tree.c) ----
struct property {
  struct property* next;
  uint32_t len;
  uint8_t* value;
  char name[];
};

struct node {
  struct node *parent, *child, *last_child, *peer;
  struct node* hash_next;
  struct property *properties, *last_property;
  uint32_t phandle;
  bool doomed;
  char name[];  // with the unit address, as in the flattened tree
};

extern struct node* tree_root;

void tree_reset(void);  // an empty tree; its memory is the heap's affair
// Adds the flattened tree's nodes and properties; size is the room in which
// the blob must end. Returns NULL or a sentence's end naming what is wrong.
const char* tree_merge(const void* fdt, size_t room);
// A node of the merged blob with this property disappears with its subtree.
#define DELETE_MARK "baton,delete-node"
#define DELETE_PROPERTIES "baton,delete-properties"
struct node* tree_child(struct node* parent, const char* name);  // exact name or NULL
struct node* tree_make(const char* path);                        // absolute path; creates what is missing
struct node* tree_find(const char* path);                        // Open Firmware device specifier
struct node* tree_find_type(const char* device_type);
struct node* tree_next(struct node* n, struct node* top);  // depth first, NULL at the end
struct node* tree_by_phandle(uint32_t phandle);
void tree_assign_phandles(void);
size_t tree_path(const struct node* n, char* buf, size_t size);  // length without NUL
struct property* prop_find(const struct node* n, const char* name);
bool prop_set(struct node* n, const char* name, const void* value, uint32_t len);
bool prop_set_string(struct node* n, const char* name, const char* s);
bool prop_set_u32(struct node* n, const char* name, uint32_t v);
bool prop_set_u64(struct node* n, const char* name, uint64_t v);
const char* prop_string(const struct node* n, const char* name);  // NULL unless terminated
bool prop_u32(const struct node* n, const char* name, uint32_t* v);
bool prop_number(const struct node* n, const char* name, uint64_t* v);  // 4 or 8 bytes

// ---- real memory (memory.c) ----
void memory_init(uint64_t rma);
uint32_t memory_rma(void);
bool memory_claim(uint32_t start, uint32_t size);
bool memory_release(uint32_t start, uint32_t size);
uint32_t memory_find(uint32_t size, uint32_t align);  // highest free place, 0 if none
bool memory_is_free(uint32_t start, uint32_t size);
bool memory_valid(uint32_t start, uint32_t size);  // inside the RMA

// ---- gates in entry.S ----
struct client_start {
  uint64_t pc, msr, r1, r3, r4, r5;
};
int hcall(uint64_t regs[10]);
void external_interrupts_off(void);
uint64_t timebase(void);
void set_decrementer(uint32_t ticks);
uint32_t processor_version(void);
void sync_icache(uint32_t address, uint32_t length);
void copy_blocks(void* to, const void* from, uint32_t blocks);
_Noreturn void enter_client(const struct client_start*);
extern const char client_entry[], client_stack_top[], rtas_stub[], rtas_stub_end[];
extern char heap_start[], heap_end[];

// ---- hypervisor and console (platform.c) ----
int hypervisor(uint32_t token, uint64_t a, uint64_t b, uint64_t c, uint64_t d);
int client_architecture_support(uint32_t vectors, void* buffer, uint32_t size);
int rtas(const char* name, int nargs, int nrets, const uint32_t* args, uint32_t* rets);
void progress(const char* code);
_Noreturn void fatal(const char* format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void power_off(void);
_Noreturn void reboot(void);
uint32_t milliseconds(void);
void platform_init(void);  // after the device tree is there
void wait_a_moment(void);
void console_set(uint32_t termno);
void console_write(uint32_t termno, const char* text, uint32_t len);
int console_read(uint32_t termno, char* buf, uint32_t len);  // 0: nothing there
void print(const char* format, ...) __attribute__((format(printf, 1, 2)));
uint32_t console_termno(void);

// ---- loader (loader.c) ----
struct kernel {
  uint32_t entry, start, end;  // entry point and the memory that it occupies
  bool is64;
};
bool kernel_configured(void);
_Noreturn void boot_kernel(void);

// ---- client interface (client.c), prompt (prompt.c) ----
void client_init(uint32_t boot_cpu);  // its interrupt server number
_Noreturn void prompt(void);

#endif
