// SPDX-License-Identifier: Apache-2.0
#include "hmc/records.h"

#include <stdexcept>

namespace baton::hmc {
namespace {

std::string quoted_field(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

}  // namespace

std::string format_values(const std::vector<std::string>& values, char delimiter) {
  std::string out;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i) out += delimiter;
    const bool needs = values[i].find('"') != std::string::npos ||
                       values[i].find(delimiter) != std::string::npos ||
                       values[i].find(',') != std::string::npos;
    out += needs ? quoted_field(values[i]) : values[i];
  }
  return out;
}

std::string format_list(const std::vector<std::string>& elements) { return format_values(elements, ','); }

std::string format_record(const Record& record) {
  std::vector<std::string> parts;
  parts.reserve(record.size());
  for (const auto& [name, value] : record) parts.push_back(name + "=" + value);
  return format_values(parts, ',');
}

std::vector<std::string> split_quoted(std::string_view text, char delimiter) {
  std::vector<std::string> out;
  std::string part;
  std::size_t i = 0;
  while (true) {
    part.clear();
    if (i < text.size() && text[i] == '"') {
      for (++i;; ++i) {
        if (i >= text.size())
          throw std::runtime_error("A quotation mark is not closed in: " + std::string(text) + ".");
        if (text[i] != '"') {
          part += text[i];
        } else if (i + 1 < text.size() && text[i + 1] == '"') {
          part += '"';
          ++i;
        } else {
          ++i;
          break;
        }
      }
      if (i < text.size() && text[i] != delimiter) {
        throw std::runtime_error("Text follows a closing quotation mark in: " + std::string(text) +
                                 "; double the marks that are part of a value.");
      }
    } else {
      while (i < text.size() && text[i] != delimiter) part += text[i++];
    }
    out.push_back(part);
    if (i >= text.size()) return out;
    ++i;
  }
}

Record parse_record(std::string_view text) {
  Record record;
  if (text.empty()) return record;
  for (const std::string& part : split_quoted(text)) {
    const std::size_t equals = part.find('=');
    if (equals == std::string::npos || equals == 0) {
      throw std::runtime_error("\"" + part + "\" is not of the form attribute=value.");
    }
    record.emplace_back(part.substr(0, equals), part.substr(equals + 1));
  }
  return record;
}

FieldList parse_fields(std::string_view text) {
  FieldList list;
  for (const char c : text) {
    if (!is_name(c)) {
      list.delimiter = c;
      break;
    }
  }
  std::string name;
  for (const char c : text) {
    if (is_name(c)) {
      name += c;
    } else if (c == list.delimiter && !name.empty()) {
      list.names.push_back(name);
      name.clear();
    } else {
      throw std::runtime_error("The attribute list \"" + std::string(text) +
                               "\" needs names with one and the same delimiter between them.");
    }
  }
  if (name.empty())
    throw std::runtime_error("The attribute list of -F ends without a name; give -F name,state.");
  list.names.push_back(name);
  return list;
}

}  // namespace baton::hmc
