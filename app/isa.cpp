// SPDX-License-Identifier: Apache-2.0
#include "app/isa.h"

#include <strings.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <iostream>
#include <stdexcept>

#include "cpu/isa/assembly.h"
#include "cpu/isa/listing.h"

namespace baton::app {
namespace {

namespace isa = cpu::isa;

bool same(const std::string& asked, const char* name) { return strcasecmp(asked.c_str(), name) == 0; }

/// The name among those that the table has, or a sentence that lists them.
template <class Enum>
void check(const char* what, const std::string& asked, Enum isa::Row::* member) {
  if (asked.empty()) return;
  std::string known;
  for (const isa::Row& row : isa::table()) {
    const std::string name = isa::name(row.*member);
    if (same(asked, name.c_str())) return;
    if (known.find(name) == known.npos) known += (known.empty() ? "" : ", ") + name;
  }
  throw std::runtime_error("no instruction has the " + std::string(what) + " \"" + asked + "\"; there are " +
                           known + ".");
}

void disassemble(const std::string& text) {
  std::string_view digits = text;
  if (digits.starts_with("0x") || digits.starts_with("0X")) digits.remove_prefix(2);
  u32 word = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), word, 16);
  if (digits.empty() || error != std::errc() || end != digits.data() + digits.size())
    throw std::runtime_error(
        "\"" + text + "\" is no instruction word; give up to eight hexadecimal digits, such as 7c632a14.");
  std::printf("%08x  %-32s %s\n", word, isa::disassemble(0, word).c_str(), isa::table_text(0, word).c_str());
}

}  // namespace

int run_isa(const IsaOptions& options) {
  for (const std::string& word : options.disassemble) disassemble(word);
  if (!options.assemble.empty()) {
    const isa::Assembled line = isa::assemble(0, options.assemble);
    if (!line.word) throw std::runtime_error(line.problem);
    std::printf("%08x\n", *line.word);
  }
  if (!options.disassemble.empty() || !options.assemble.empty()) return 0;

  const auto rows = isa::table();
  for (const std::string& mnemonic : options.mnemonics)
    if (std::none_of(rows.begin(), rows.end(), [&](const isa::Row& row) { return mnemonic == row.mnemonic; }))
      throw std::runtime_error("POWER6 has no instruction \"" + mnemonic +
                               "\" (\"baton isa\" lists those that it has).");
  check("privilege", options.privilege, &isa::Row::privilege);
  check("facility", options.facility, &isa::Row::facility);
  const auto wanted = [&](const isa::Row& row) {
    const auto& names = options.mnemonics;
    return (names.empty() || std::find(names.begin(), names.end(), row.mnemonic) != names.end()) &&
           (options.privilege.empty() || same(options.privilege, isa::name(row.privilege))) &&
           (options.facility.empty() || same(options.facility, isa::name(row.facility)));
  };
  if (options.csv)
    isa::write_csv(std::cout, wanted);
  else
    isa::write_table(std::cout, wanted);
  return 0;
}

}  // namespace baton::app
