// SPDX-License-Identifier: Apache-2.0
// The program and its verbs.
#include <CLI/CLI.hpp>
#include <cstdlib>
#include <iostream>

#include "app/demo.h"
#include "app/isa.h"
#include "app/system.h"
#include "hmc/console.h"

int main(int argc, char** argv) try {
  // gRPC reports lost connections on standard error by itself; our own sentences say the same.
  ::setenv("GRPC_VERBOSITY", "NONE", 0);

  CLI::App app{"Baton: IBM POWER6 servers with PowerVM Live Partition Mobility, in software", "baton"};
  app.require_subcommand(1);
  app.fallthrough();
  std::string run_dir;
  app.add_option("--run-dir", run_dir, "Directory of the systems' sockets (also BATON_RUN_DIR)");

  std::string config;
  CLI::App* system = app.add_subcommand("system", "Runs a managed system");
  system->add_option("config", config, "Configuration (TOML; see app/example.toml)")->required();
  std::string engine;
  baton::app::TraceOptions trace_options;
  baton::app::SystemOptions options;
  const auto system_options = [&engine](CLI::App& verb, baton::app::SystemOptions& to) {
    verb.add_option("--engine", engine,
                    "What executes partitions' code: auto (the fastest that the host allows), interpreter, "
                    "stencil or llvm (also engine in the configuration)")
        ->check(CLI::IsMember({"auto", "interpreter", "stencil", "llvm"}));
    verb.add_option("--compile-threads", to.compile_threads,
                    "Host threads of each partition that compile its hottest code by LLVM")
        ->check(CLI::Range(1, 16));
    verb.add_option("--code-cache", to.code_cache,
                    "Bound on the compiled code of each virtual processor, megabytes")
        ->check(CLI::Range(4, 1024));
    verb.add_option("--region-cache", to.region_cache,
                    "Bound on what LLVM compiles for each virtual processor, megabytes")
        ->check(CLI::Range(4, 1024));
    verb.add_option("--symbols", to.symbols,
                    "System.map of the partition's kernel, for what names guest code");
    verb.add_option("--replay", to.replay, "Takes what came from outside from this log of --record");
  };
  system_options(*system, options);
  system->add_flag("--engine-stats", options.engine_stats,
                   "Prints at the end where time went, what was compiled, and why engines were left");
  system->add_flag("--perf-map", options.perf_map,
                   "Names compiled guest code for perf, in /tmp/perf-PID.map");
  system->add_flag("--deterministic", options.deterministic,
                   "Time is the number of instructions; partitions must have one processor");
  system->add_option("--record", options.record,
                     "Deterministic, and logs in this file what comes from outside");
  system->add_option(
      "--stop-at", options.stop_at,
      "Deterministic; ends when each partition has executed so many instructions, and prints a digest "
      "of its state");
  system->add_option("--digest-every", options.digest_every,
                     "Deterministic; prints a digest each time that so many instructions are executed");

  CLI::App* trace = app.add_subcommand("trace", "Runs a system and prints the instructions of its partition");
  trace->add_option("config", config, "Configuration with one partition")->required();
  trace->add_option("--from", trace_options.from,
                    "Number of the first instruction to print, counted from power-on");
  trace->add_option("--count", trace_options.count, "How many to print (100 unless said)");
  system_options(*trace, trace_options.system);

  std::string command;
  CLI::App* hmc = app.add_subcommand("hmc", "The management console");
  CLI::Option* one = hmc->add_option("-c", command, "Runs one command and leaves");

  CLI::App* demo = app.add_subcommand("demo", "Shows a partition moving");
  // Its options are its own, --help among them.
  demo->prefix_command();
  demo->fallthrough(false);
  demo->set_help_flag();

  baton::app::IsaOptions table;
  CLI::App* isa = app.add_subcommand("isa", "Prints the instruction table of the processor");
  isa->add_option("mnemonic", table.mnemonics, "Only these instructions");
  isa->add_flag("--csv", table.csv, "Comma-separated values");
  isa->add_option("--privilege", table.privilege, "Only those of User, Privileged or Hypervisor");
  isa->add_option("--facility", table.facility, "Only those of Base, FP, VMX or DFP");
  isa->add_option("--disassemble", table.disassemble,
                  "Prints what these words are (hexadecimal), as at address 0");
  isa->add_option("--assemble", table.assemble, "Prints the word of a line, such as \"add r3,r4,r5\"");

  CLI::App* version = app.add_subcommand("version", "Prints the version");
  CLI11_PARSE(app, argc, argv);

  if (*version) {
    std::cout << "baton " BATON_VERSION "\n";
    return 0;
  }
  if (*isa) return baton::app::run_isa(table);
  options.engine = trace_options.system.engine = baton::cpu::engine_named(engine);
  if (*system) return baton::app::run_system(config, run_dir, options);
  if (*trace) return baton::app::run_trace(config, run_dir, trace_options);
  if (*demo) return baton::app::run_demo(run_dir, demo->remaining());
  baton::hmc::RunDirectory systems(baton::hmc::run_directory(run_dir));
  baton::hmc::Console console(systems, std::cout, std::cerr);
  return *one ? console.execute(command) : console.interactive();
} catch (const std::exception& problem) {
  std::cerr << "baton: " << problem.what() << "\n";
  return 1;
}
