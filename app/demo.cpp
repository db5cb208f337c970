// SPDX-License-Identifier: Apache-2.0
#include "app/demo.h"

#include <iostream>

namespace baton::app {

int run_demo(const std::string&, const std::vector<std::string>&) {
  std::cerr << "This build has no demonstration; use \"baton system\" and \"baton hmc\".\n";
  return 1;
}

}  // namespace baton::app
