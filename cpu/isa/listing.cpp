// SPDX-License-Identifier: Apache-2.0
#include "cpu/isa/listing.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ostream>
#include <string>
#include <vector>

namespace baton::cpu::isa {
namespace {

/// Spellings of instructions.def.
struct Spelling {
  const char* form;
  const char* privilege;
  const char* facility;
  const char* semantics;
};
constexpr Spelling kSpellings[] = {
#define INSN(id, mnemonic, form, mask, value, operands, imm, privilege, facility, semantics) \
  {#form, #privilege, #facility, #semantics},
#include "cpu/isa/instructions.def"
};

constexpr const char* kTests[] = {
#define EVIDENCE(id, layers) layers,
#include "cpu/isa/evidence.def"
};
constexpr Id kTested[] = {
#define EVIDENCE(id, layers) Id::id,
#include "cpu/isa/evidence.def"
};
static_assert(std::size(kTests) == kRows,
              "evidence.def has a line for each row: tests/cpu/coverage.py --write");

constexpr bool in_table_order() {
  for (std::size_t i = 0; i < kRows; i++)
    if (kTested[i] != static_cast<Id>(i)) return false;
  return true;
}
static_assert(in_table_order(),
              "evidence.def is in the order of instructions.def: tests/cpu/coverage.py --write");

template <class Enum, auto kMember>
const char* spelling(Enum value, Enum Row::* member) {
  for (const Row& row : table())
    if (row.*member == value) return kSpellings[static_cast<std::size_t>(row.id)].*kMember;
  return "";
}

std::string hexadecimal(u32 value) {
  char text[16];
  std::snprintf(text, sizeof text, "0x%08x", value);
  return text;
}

/// Quotes where a cell needs them (RFC 4180).
std::string cell(const std::string& text) {
  if (text.find_first_of(",\"\n") == text.npos) return text;
  std::string quoted = "\"";
  for (char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

}  // namespace

const char* name(Form form) { return spelling<Form, &Spelling::form>(form, &Row::form); }
const char* name(Privilege privilege) {
  return spelling<Privilege, &Spelling::privilege>(privilege, &Row::privilege);
}
const char* name(Facility facility) {
  return spelling<Facility, &Spelling::facility>(facility, &Row::facility);
}

std::string semantics_name(const Row& row) {
  // "(sem::add<O, false, true>)"
  std::string text = kSpellings[static_cast<std::size_t>(row.id)].semantics;
  text.erase(std::min(text.find('<'), text.size()));
  return text.substr(text.rfind(':') + 1);
}

const char* tests(const Row& row) { return kTests[static_cast<std::size_t>(row.id)]; }

void write_csv(std::ostream& out, const std::function<bool(const Row&)>& wanted) {
  out << "mnemonic,mask,value,form,privilege,facility,semantics,tests\n";
  for (const Row& row : table()) {
    if (!wanted(row)) continue;
    out << cell(row.mnemonic) << ',' << hexadecimal(row.mask) << ',' << hexadecimal(row.value) << ','
        << name(row.form) << ',' << name(row.privilege) << ',' << name(row.facility) << ','
        << cell(semantics_name(row)) << ',' << cell(tests(row)) << '\n';
  }
}

void write_table(std::ostream& out, const std::function<bool(const Row&)>& wanted) {
  std::vector<std::array<std::string, 9>> lines = {
      {"mnemonic", "mask", "value", "form", "privilege", "facility", "semantics", "operands", "tests"}};
  for (const Row& row : table())
    if (wanted(row))
      lines.push_back({row.mnemonic, hexadecimal(row.mask), hexadecimal(row.value), name(row.form),
                       name(row.privilege), name(row.facility), semantics_name(row), row.operands,
                       tests(row)});
  std::array<std::size_t, 9> widths{};
  for (const auto& line : lines)
    for (std::size_t i = 0; i < line.size(); i++) widths[i] = std::max(widths[i], line[i].size());
  for (auto& line : lines) {
    std::string text;
    for (std::size_t i = 0; i < line.size(); i++) text += line[i].append(widths[i] + 2 - line[i].size(), ' ');
    text.erase(text.find_last_not_of(' ') + 1);
    out << text << '\n';
  }
}

}  // namespace baton::cpu::isa
