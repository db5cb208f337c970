// SPDX-License-Identifier: Apache-2.0
// Words and options of a console command.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace baton::hmc {

/// Splits as a POSIX shell does, without expansions: blanks separate, '...' literal, "..." with \" and \\,
/// \x. Throws std::runtime_error on an unclosed quote.
std::vector<std::string> split_words(std::string_view line);

struct OptionSpec {
  std::string_view name;  ///< "-m" or "--filter"
  bool takes_value;
  bool required = false;
};

/// The options of one command.
class Arguments {
 public:
  /// Throws std::runtime_error naming the option that is unknown, twice, without value or missing.
  Arguments(std::string_view command, std::span<const std::string> words, std::span<const OptionSpec> specs);
  bool has(std::string_view name) const { return values_.contains(std::string(name)); }
  std::string get(std::string_view name, std::string_view otherwise = {}) const;

 private:
  std::map<std::string, std::string> values_;
};

}  // namespace baton::hmc
