// SPDX-License-Identifier: Apache-2.0
#include "cpu/isa/assembly.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <map>

namespace baton::cpu::isa {
namespace {

using Kind = OperandField::Kind;

constexpr u32 bits_between(unsigned first, unsigned last) { return mask32(first, last); }

u32 number(std::string_view& text) {
  u32 value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) std::abort();  // the table is wrong
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

bool skip(std::string_view& text, std::string_view what) {
  if (!text.starts_with(what)) return false;
  text.remove_prefix(what.size());
  return true;
}

/// "GPR|0[11:15]", "imm[16:20+30]", "SPR[16:20||11:15]", "imm[10]", ...
OperandField parse_field(const Row& row, std::string_view item) {
  const std::size_t bracket = item.find('[');
  const std::string_view name = item.substr(0, bracket);
  std::string_view rest = item.substr(bracket + 1);
  OperandField f{};
  f.first = f.last = static_cast<u8>(number(rest));
  if (skip(rest, ":")) f.last = static_cast<u8>(number(rest));
  if (skip(rest, "||")) {
    f.low_first = static_cast<u8>(number(rest));
    if (skip(rest, ":")) f.low_last = static_cast<u8>(number(rest));
  } else if (skip(rest, "+")) {
    // The high bit of a 6-bit shift.
    f.low_first = f.first, f.low_last = f.last;
    f.first = f.last = static_cast<u8>(number(rest));
  } else if ((row.form == Form::MD || row.form == Form::MDS) && f.first == 21 && f.last == 26) {
    f.first = f.last = 26;
    f.low_first = 21, f.low_last = 25;
  }
  const bool pair = f.last == 9 || f.last == 14 || f.last == 19;
  if (name == "GPR")
    f.kind = Kind::Gpr;
  else if (name == "GPR|0")
    f.kind = Kind::GprOrZero;
  else if (name == "FPR")
    f.kind = Kind::Fpr;
  else if (name == "VR")
    f.kind = Kind::Vr;
  else if (name == "CRF")
    f.kind = Kind::CrField;
  else if (name.starts_with("CRB"))
    f.kind = Kind::CrBit;
  else if (name.starts_with("disp"))
    f.kind = Kind::Target;
  else if (name == "simm")
    f.kind = Kind::Signed;
  else
    f.kind = Kind::Unsigned;
  if ((f.kind == Kind::Gpr || f.kind == Kind::Fpr) && pair) f.shift = 1;
  if (f.kind == Kind::Target) f.shift = 2;
  if (f.kind == Kind::Unsigned && f.first == 16 && f.last >= 27) {
    if (row.imm != ImmKind::UI && row.imm != ImmKind::UIShifted && row.imm != ImmKind::CmpUI)
      f.kind = Kind::Signed;
    if (row.imm == ImmKind::DS) f.shift = 2;
    if (row.imm == ImmKind::DQ) f.shift = 4;
  }
  return f;
}

std::vector<OperandField> parse_fields(const Row& row) {
  std::vector<OperandField> fields;
  std::string_view rest = row.operands;
  while (!rest.empty()) {
    const std::string_view item = rest.substr(0, rest.find(' '));
    rest.remove_prefix(std::min(rest.size(), item.size() + 1));
    fields.push_back(parse_field(row, item));
  }
  for (std::size_t i = 0; i + 1 < fields.size(); i++)
    if (fields[i].kind == Kind::Signed && fields[i].first == 16 &&
        (fields[i + 1].kind == Kind::Gpr || fields[i + 1].kind == Kind::GprOrZero))
      fields[i].kind = Kind::Offset;
  return fields;
}

unsigned width(const OperandField& f) {
  return f.last - f.first + 1 + (f.low_last != 0 ? f.low_last - f.low_first + 1 : 0) + f.shift;
}

bool is_signed(Kind kind) { return kind == Kind::Signed || kind == Kind::Offset || kind == Kind::Target; }

i64 value_of(const OperandField& f, u32 word) {
  u64 value = field(word, f.first, f.last);
  if (f.low_last != 0) value = value << (f.low_last - f.low_first + 1) | field(word, f.low_first, f.low_last);
  value <<= f.shift;
  return is_signed(f.kind) ? sign_extend(value, width(f)) : static_cast<i64>(value);
}

std::optional<u32> bits_of(const OperandField& f, i64 value) {
  const unsigned n = width(f);
  const i64 least = is_signed(f.kind) ? -(i64{1} << (n - 1)) : 0;
  const i64 most = (i64{1} << (is_signed(f.kind) ? n - 1 : n)) - 1;
  if (value < least || value > most || value & ((1 << f.shift) - 1)) return std::nullopt;
  u32 bits = static_cast<u32>(value >> f.shift), word = 0;
  if (f.low_last != 0) {
    const u32 low = bits_between(f.low_first, f.low_last);
    word |= bits << (31 - f.low_last) & low;
    bits >>= f.low_last - f.low_first + 1;
  }
  return word | (bits << (31 - f.last) & bits_between(f.first, f.last));
}

bool is_absolute(const Row& row, u32 word) {
  return (row.form == Form::I || row.form == Form::B) && word & 2;
}

constexpr std::array<std::string_view, 4> kConditions = {"lt", "gt", "eq", "so"};

std::string hexadecimal(u64 value) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

std::string operand_text(u64 ea, const Row& row, u32 word, const OperandField& f, i64 value) {
  switch (f.kind) {
    case Kind::GprOrZero:
      if (value == 0) return "0";
      [[fallthrough]];
    case Kind::Gpr:
      return "r" + std::to_string(value);
    case Kind::Fpr:
      return "f" + std::to_string(value);
    case Kind::Vr:
      return "v" + std::to_string(value);
    case Kind::CrField:
      return "cr" + std::to_string(value);
    case Kind::CrBit: {
      const std::string bit(kConditions[value & 3]);
      return value < 4 ? bit : "4*cr" + std::to_string(value >> 2) + "+" + bit;
    }
    case Kind::Target:
      return hexadecimal(static_cast<u64>(value) + (is_absolute(row, word) ? 0 : ea));
    case Kind::Unsigned:
    case Kind::Signed:
    case Kind::Offset:
      return std::to_string(value);
  }
  std::abort();
}

std::string long_text(u32 word) {
  char raw[24];
  std::snprintf(raw, sizeof raw, ".long 0x%08x", word);
  return raw;
}

// ---- reading

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// A decimal or 0x number with a sign, of 64 bits.
std::optional<i64> read_number(std::string_view text) {
  const bool negative = skip(text, "-");
  const bool hex = skip(text, "0x") || skip(text, "0X");
  u64 value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, hex ? 16 : 10);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return static_cast<i64>(negative ? -value : value);
}

std::optional<i64> read_register(std::string_view text, std::string_view prefix, i64 count) {
  skip(text, prefix);
  const auto value = read_number(text);
  return value && *value >= 0 && *value < count ? value : std::nullopt;
}

std::optional<i64> read_operand(const OperandField& f, std::string_view text) {
  switch (f.kind) {
    case Kind::Gpr:
    case Kind::GprOrZero:
      return read_register(text, "r", 32);
    case Kind::Fpr:
      return read_register(text, "f", 32);
    case Kind::Vr:
      return read_register(text, "v", 32);
    case Kind::CrField:
      return read_register(text, "cr", 8);
    case Kind::CrBit: {
      i64 base = 0;
      if (skip(text, "4*cr")) {
        const std::size_t plus = text.find('+');
        const auto cr = read_register(text.substr(0, plus), "", 8);
        if (!cr || plus == std::string_view::npos) return std::nullopt;
        base = *cr * 4;
        text.remove_prefix(plus + 1);
      }
      const auto bit = std::find(kConditions.begin(), kConditions.end(), text);
      if (bit != kConditions.end()) return base + (bit - kConditions.begin());
      return read_register(text, "", 32);
    }
    case Kind::Unsigned:
    case Kind::Signed:
    case Kind::Offset:
    case Kind::Target:
      return read_number(text);
  }
  std::abort();
}

const Row* find_row(std::string_view mnemonic) {
  static const auto rows = [] {
    std::map<std::string_view, const Row*> found;
    for (const Row& row : table()) found.emplace(row.mnemonic, &row);
    return found;
  }();
  const auto at = rows.find(mnemonic);
  return at == rows.end() ? nullptr : at->second;
}

/// The operands of a line, "8(r1)" as two of them.
std::vector<std::string_view> split_operands(const Row& row, std::string_view text) {
  std::vector<std::string_view> items;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    items.push_back(trimmed(text.substr(0, comma)));
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
  }
  const auto fields = operand_fields(row);
  for (std::size_t i = 0; i < items.size() && i < fields.size(); i++) {
    if (fields[i].kind != Kind::Offset || !items[i].ends_with(')')) continue;
    const std::size_t open = items[i].find('(');
    if (open == std::string_view::npos) continue;
    const std::string_view base = items[i].substr(open + 1, items[i].size() - open - 2);
    items[i] = items[i].substr(0, open);
    items.insert(items.begin() + static_cast<std::ptrdiff_t>(i) + 1, base);
  }
  return items;
}

Assembled refuse(std::string_view line, const std::string& why) {
  return {std::nullopt, "\"" + std::string(line) + "\": " + why};
}

}  // namespace

u32 OperandField::bits() const {
  return bits_between(first, last) | (low_last != 0 ? bits_between(low_first, low_last) : 0);
}

std::span<const OperandField> operand_fields(const Row& row) {
  static const auto all = [] {
    std::vector<std::vector<OperandField>> fields;
    for (const Row& each : table()) fields.push_back(parse_fields(each));
    return fields;
  }();
  return all[static_cast<std::size_t>(row.id)];
}

u32 operand_bits(const Row& row) {
  u32 bits = 0;
  for (const OperandField& f : operand_fields(row)) bits |= f.bits();
  return bits;
}

std::vector<i64> operand_values(const Row& row, u32 word) {
  std::vector<i64> values;
  for (const OperandField& f : operand_fields(row)) values.push_back(value_of(f, word));
  return values;
}

std::optional<u32> encode(const Row& row, std::span<const i64> values) {
  const auto fields = operand_fields(row);
  if (values.size() != fields.size()) return std::nullopt;
  u32 word = row.value;
  for (std::size_t i = 0; i < fields.size(); i++) {
    const auto bits = bits_of(fields[i], values[i]);
    if (!bits) return std::nullopt;
    word |= *bits;
  }
  return decode(word) == &row ? std::optional(word) : std::nullopt;
}

std::string table_text(u64 ea, u32 word) {
  const Row* const row = decode(word);
  if (!row) return long_text(word);
  std::string text = row->mnemonic;
  const auto fields = operand_fields(*row);
  for (std::size_t i = 0; i < fields.size(); i++) {
    const bool based = i > 0 && fields[i - 1].kind == Kind::Offset;
    text += i == 0 ? " " : based ? "(" : ",";
    text += operand_text(ea, *row, word, fields[i], value_of(fields[i], word));
    if (based) text += ")";
  }
  return text;
}

Assembled assemble(u64 ea, std::string_view line) {
  std::string_view rest = trimmed(line);
  const std::string_view mnemonic = rest.substr(0, rest.find_first_of(" \t"));
  rest = trimmed(rest.substr(mnemonic.size()));
  if (mnemonic == ".long") {
    const auto word = read_number(rest);
    if (!word || static_cast<u64>(*word) > 0xFFFFFFFF) return refuse(line, "a word is 0 to 0xffffffff.");
    return {static_cast<u32>(*word), {}};
  }
  const Row* const row = find_row(mnemonic);
  if (!row)
    return refuse(line, "POWER6 has no instruction of that name (extended mnemonics are not known here).");
  const auto fields = operand_fields(*row);
  const auto items = split_operands(*row, rest);
  if (items.size() != fields.size())
    return refuse(line, std::to_string(fields.size()) + " operands are needed, not " +
                            std::to_string(items.size()) + ".");
  std::vector<i64> values;
  for (std::size_t i = 0; i < fields.size(); i++) {
    auto value = read_operand(fields[i], items[i]);
    if (value && fields[i].kind == Kind::Target && !is_absolute(*row, row->value))
      *value -= static_cast<i64>(ea);
    if (!value || !bits_of(fields[i], *value))
      return refuse(line, "\"" + std::string(items[i]) + "\" is no operand number " + std::to_string(i + 1) +
                              " of it.");
    values.push_back(*value);
  }
  const auto word = encode(*row, values);
  return word ? Assembled{word, {}} : refuse(line, "these registers make it an invalid form.");
}

}  // namespace baton::cpu::isa
