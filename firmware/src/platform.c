// SPDX-License-Identifier: Apache-2.0
// The firmware's own use of the hypervisor: console, RTAS, progress codes,
// time, and the ways out.
#include "fw.h"

enum {
  H_GET_TERM_CHAR = 0x54,
  H_PUT_TERM_CHAR = 0x58,
  H_CEDE = 0xe0,
  H_BATON_RTAS = 0xf000,
  H_BATON_CAS = 0xf004,
  H_BATON_PROGRESS = 0xf008,
  H_BATON_FATAL = 0xf00c,
};
enum { H_BUSY = 1, LONG_BUSY_FIRST = 9900, LONG_BUSY_LAST = 9905 };

static uint32_t console;
static uint32_t timebase_frequency = 512000000;
static bool line_of_codes;  // the console's cursor stands behind a progress code

int hypervisor(uint32_t token, uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
  uint64_t r[10] = {token, a, b, c, d};
  return hcall(r);
}

int client_architecture_support(uint32_t vectors, void* buffer, uint32_t size) {
  return hypervisor(H_BATON_CAS, vectors, (uintptr_t)buffer, size, 0);
}

// ---- console ----

void console_set(uint32_t termno) { console = termno; }
uint32_t console_termno(void) { return console; }

static void put_raw(uint32_t termno, const char* text, uint32_t len) {
  while (len) {
    uint32_t n = len < 16 ? len : 16;
    char chunk[16] __attribute__((aligned(8))) = {0};
    memcpy(chunk, text, n);
    int rc;
    do rc = hypervisor(H_PUT_TERM_CHAR, termno, n, be64_load(chunk), be64_load(chunk + 8));
    while (rc == H_BUSY || (rc >= LONG_BUSY_FIRST && rc <= LONG_BUSY_LAST));
    text += n, len -= n;
  }
}

static char last_written;

// A line feed becomes carriage return and line feed, unless it already is one.
void console_write(uint32_t termno, const char* text, uint32_t len) {
  char out[256];
  uint32_t n = 0;
  for (uint32_t i = 0; i < len; i++) {
    if (text[i] == '\n' && last_written != '\r') out[n++] = '\r';
    out[n++] = last_written = text[i];
    if (n >= sizeof out - 1) put_raw(termno, out, n), n = 0;
  }
  put_raw(termno, out, n);
}

int console_read(uint32_t termno, char* buf, uint32_t len) {
  static struct {
    uint32_t termno, have, at;
    char text[16];
  } input;
  if (input.at == input.have || input.termno != termno) {
    uint64_t r[10] = {H_GET_TERM_CHAR, termno};
    if (hcall(r) != 0 || r[1] > 16) return 0;
    for (int i = 0; i < 4; i++) be32_store(input.text + 4 * i, (uint32_t)(r[2 + i / 2] >> (i % 2 ? 0 : 32)));
    input.termno = termno;
    input.have = (uint32_t)r[1];
    input.at = 0;
  }
  uint32_t n = 0;
  while (n < len && input.at < input.have) buf[n++] = input.text[input.at++];
  return (int)n;
}

// ---- formatting: %s %c %d %u %x with zero padding and width, %llx for 64 bits ----

struct sink {
  char* buf;
  size_t size, len;
};

static void sink_put(struct sink* s, char c) {
  if (s->len + 1 < s->size) s->buf[s->len++] = c;
}

static void sink_number(struct sink* s, uint64_t v, unsigned base, int width, char pad, bool negative) {
  char digits[20];
  int n = 0;
  uint32_t low = (uint32_t)v;
  if (base == 16) {
    do digits[n++] = "0123456789abcdef"[v & 15], v >>= 4;
    while (v);
  } else {
    do digits[n++] = (char)('0' + low % 10), low /= 10;
    while (low);
  }
  if (negative) digits[n++] = '-';
  for (int i = n; i < width; i++) sink_put(s, pad);
  while (n) sink_put(s, digits[--n]);
}

static void format_to(struct sink* s, const char* f, va_list ap) {
  for (; *f; f++) {
    if (*f != '%') {
      sink_put(s, *f);
      continue;
    }
    char pad = ' ';
    int width = 0;
    bool wide = false;
    f++;
    if (*f == '0') pad = '0', f++;
    while (*f >= '0' && *f <= '9') width = width * 10 + *f++ - '0';
    while (*f == 'l') wide = true, f++;
    switch (*f) {
      case 's': {
        const char* t = va_arg(ap, const char*);
        int n = 0;
        for (t = t ? t : "(none)"; t[n]; n++) sink_put(s, t[n]);
        for (; n < width; n++) sink_put(s, ' ');
        break;
      }
      case 'c':
        sink_put(s, (char)va_arg(ap, int));
        break;
      case 'd': {
        int32_t v = va_arg(ap, int32_t);
        sink_number(s, v < 0 ? 0u - (uint32_t)v : (uint32_t)v, 10, width, pad, v < 0);
        break;
      }
      case 'u':
        sink_number(s, va_arg(ap, uint32_t), 10, width, pad, false);
        break;
      case 'x':
        sink_number(s, wide ? va_arg(ap, uint64_t) : va_arg(ap, uint32_t), 16, width, pad, false);
        break;
      default:
        sink_put(s, *f);
    }
  }
}

static void fresh_line(void) {
  if (line_of_codes) console_write(console, "\n", 1);
  line_of_codes = false;
}

void print(const char* format, ...) {
  char text[512];
  struct sink s = {text, sizeof text, 0};
  va_list ap;
  va_start(ap, format);
  format_to(&s, format, ap);
  va_end(ap);
  fresh_line();
  console_write(console, text, (uint32_t)s.len);
}

// ---- operator panel ----

void progress(const char* code) {
  char text[8] = {' ', ' ', ' ', ' ', ' ', ' ', ' ', ' '};
  size_t n = strlen(code);
  memcpy(text, code, n < 8 ? n : 8);
  hypervisor(H_BATON_PROGRESS, be64_load(text), 0, 0, 0);
  if (line_of_codes) console_write(console, " ", 1);
  console_write(console, code, (uint32_t)n);
  line_of_codes = true;
}

// ---- RTAS ----

int rtas(const char* name, int nargs, int nrets, const uint32_t* args, uint32_t* rets) {
  static struct {
    uint32_t token, nargs, nrets, cells[16];
  } call __attribute__((aligned(64)));
  if (!tree_root || !prop_u32(tree_child(tree_root, "rtas"), name, &call.token)) return -1;
  call.nargs = (uint32_t)nargs;
  call.nrets = (uint32_t)nrets;
  for (int i = 0; i < nargs; i++) call.cells[i] = args[i];
  for (int i = 0; i < nrets; i++) call.cells[nargs + i] = 0xffffffffu;
  int rc = hypervisor(H_BATON_RTAS, (uintptr_t)&call, 0, 0, 0);
  if (rc != 0) return -1;
  for (int i = 0; i < nrets && rets; i++) rets[i] = call.cells[nargs + i];
  return nrets ? (int)call.cells[nargs] : 0;
}

// ---- time and waiting ----

uint32_t milliseconds(void) {
  uint64_t t = timebase();
  uint32_t per_ms = timebase_frequency / 1000;
  // schoolbook division, the answer modulo 2^32
  uint64_t rest = 0;
  uint32_t q = 0;
  if (!per_ms) per_ms = 1;
  for (int i = 63; i >= 0; i--) {
    rest = rest << 1 | (uint32_t)(t >> 63);
    t <<= 1;
    q <<= 1;
    if (rest >= per_ms) rest -= per_ms, q |= 1;
  }
  return q;
}

// Gives the processor away for about ten milliseconds.
void wait_a_moment(void) {
  set_decrementer(timebase_frequency / 100);
  hypervisor(H_CEDE, 0, 0, 0, 0);
  external_interrupts_off();
  set_decrementer(0x7fffffff);
}

void platform_init(void) {
  struct node* cpu = tree_find_type("cpu");
  uint32_t f;
  if (cpu && prop_u32(cpu, "timebase-frequency", &f) && f >= 1000) timebase_frequency = f;
}

// ---- the ways out ----

void fatal(const char* format, ...) {
  static char text[512];
  struct sink s = {text, sizeof text, 0};
  va_list ap;
  va_start(ap, format);
  format_to(&s, format, ap);
  va_end(ap);
  text[s.len] = 0;
  print("\nPartition firmware stopped: %s\n", text);
  hypervisor(H_BATON_FATAL, (uintptr_t)text, 0, 0, 0);
  for (;;) wait_a_moment();
}

void power_off(void) {
  static const uint32_t never[2] = {0xffffffffu, 0xffffffffu};
  rtas("power-off", 2, 1, never, NULL);
  fatal("the partition could not be powered off.");
}

void reboot(void) {
  rtas("system-reboot", 0, 1, NULL, NULL);
  fatal("the partition could not be restarted.");
}
