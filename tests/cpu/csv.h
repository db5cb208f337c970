// SPDX-License-Identifier: Apache-2.0
// The tests' data files: comma-separated, cells in quotes where they hold commas, the first line a comment.
#pragma once

#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace baton::coverage {

/// The cells of a line; two quotes within quotes are one.
inline std::vector<std::string> split_csv(const std::string& line) {
  std::vector<std::string> cells(1);
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); i++) {
    const char c = line[i];
    if (c == '"' && quoted && i + 1 < line.size() && line[i + 1] == '"')
      cells.back() += line[++i];
    else if (c == '"')
      quoted = !quoted;
    else if (c == ',' && !quoted)
      cells.emplace_back();
    else
      cells.back() += c;
  }
  return cells;
}

/// The lines below the comment and the names of the columns; throws if the file is not there.
inline std::vector<std::vector<std::string>> read_csv(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path);
  std::vector<std::vector<std::string>> rows;
  std::string line;
  std::getline(file, line);
  std::getline(file, line);
  while (std::getline(file, line)) rows.push_back(split_csv(line));
  return rows;
}

}  // namespace baton::coverage
