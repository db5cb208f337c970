// SPDX-License-Identifier: Apache-2.0
#include "app/demo.h"

#include "app/demo/demo.h"

namespace baton::app {

int run_demo(const std::string& run_dir, const std::vector<std::string>& words) {
  return demo::demo_main(demo::parse_demo_options(run_dir, words));
}

}  // namespace baton::app
