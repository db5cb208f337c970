// SPDX-License-Identifier: Apache-2.0
#include "hmc/command_line.h"

#include <algorithm>
#include <stdexcept>

namespace baton::hmc {

std::vector<std::string> split_words(std::string_view line) {
  std::vector<std::string> words;
  std::string word;
  bool in_word = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      if (in_word) words.push_back(word);
      word.clear();
      in_word = false;
    } else if (c == '\'' || c == '"') {
      in_word = true;
      const char quote = c;
      for (++i;; ++i) {
        if (i >= line.size())
          throw std::runtime_error(std::string("The quotation mark ") + quote + " is not closed.");
        if (line[i] == quote) break;
        if (quote == '"' && line[i] == '\\' && i + 1 < line.size() &&
            (line[i + 1] == '"' || line[i + 1] == '\\'))
          ++i;
        word += line[i];
      }
    } else {
      in_word = true;
      if (c == '\\' && i + 1 < line.size())
        word += line[++i];
      else
        word += c;
    }
  }
  if (in_word) words.push_back(word);
  return words;
}

Arguments::Arguments(std::string_view command, std::span<const std::string> words,
                     std::span<const OptionSpec> specs) {
  const std::string help = "; \"help " + std::string(command) + "\" shows its form.";
  for (std::size_t i = 0; i < words.size(); ++i) {
    std::string name = words[i], value;
    const std::size_t equals = name.find('=');
    bool inline_value = false;
    if (name.starts_with("--") && equals != std::string::npos) {
      value = name.substr(equals + 1);
      name.resize(equals);
      inline_value = true;
    }
    const auto spec =
        std::find_if(specs.begin(), specs.end(), [&](const OptionSpec& s) { return s.name == name; });
    if (spec == specs.end()) {
      throw std::runtime_error(std::string(command) + " does not know " +
                               (name.starts_with("-") ? "the option " : "the word ") + name + help);
    }
    if (spec->takes_value && !inline_value) {
      if (i + 1 >= words.size()) throw std::runtime_error("The option " + name + " needs a value" + help);
      value = words[++i];
    } else if (!spec->takes_value && inline_value) {
      throw std::runtime_error("The option " + name + " takes no value" + help);
    }
    if (!values_.emplace(name, value).second)
      throw std::runtime_error("The option " + name + " is given twice" + help);
  }
  for (const OptionSpec& spec : specs) {
    if (spec.required && !has(spec.name)) {
      throw std::runtime_error(std::string(command) + " needs the option " + std::string(spec.name) + help);
    }
  }
}

std::string Arguments::get(std::string_view name, std::string_view otherwise) const {
  const auto found = values_.find(std::string(name));
  return found == values_.end() ? std::string(otherwise) : found->second;
}

}  // namespace baton::hmc
