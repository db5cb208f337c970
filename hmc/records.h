// SPDX-License-Identifier: Apache-2.0
// The grammar in which the management console prints and reads records (LPM 3.1).
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace baton::hmc {

/// Attribute names and values in order.
using Record = std::vector<std::pair<std::string, std::string>>;

/// A value that is a list: elements joined by commas, an element with a comma or a quote is itself quoted.
std::string format_list(const std::vector<std::string>& elements);
/// `name=value,...`; a pair whose value has a comma or a quote is quoted as a whole, quotes inside doubled.
std::string format_record(const Record& record);
/// Values only, as -F prints them.
std::string format_values(const std::vector<std::string>& values, char delimiter);

/// Splits at `delimiter` outside quotes and takes one level of quoting off. Throws std::runtime_error with
/// one sentence on an unclosed quote or text after a closing quote.
std::vector<std::string> split_quoted(std::string_view text, char delimiter = ',');
/// The inverse of format_record. Throws std::runtime_error on a part without "=".
Record parse_record(std::string_view text);

/// The list of an -F option: attribute names, and the delimiter that it uses (and that output uses).
struct FieldList {
  std::vector<std::string> names;
  char delimiter = ',';
};
FieldList parse_fields(std::string_view text);

}  // namespace baton::hmc
