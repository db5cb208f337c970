// SPDX-License-Identifier: Apache-2.0
// The instruction table as people and programs read it: "baton isa".
#pragma once

#include <functional>
#include <iosfwd>

#include "cpu/isa/isa.h"

namespace baton::cpu::isa {

/// Names of the enumerators as instructions.def spells them.
const char* name(Form form);
const char* name(Privilege privilege);
const char* name(Facility facility);

/// The function in cpu/semantics that the row executes.
std::string semantics_name(const Row& row);

/// The layers of tests that try the row (evidence.def), separated by spaces.
const char* tests(const Row& row);

/// Comma-separated values: the names of the columns
/// "mnemonic,mask,value,form,privilege,facility,semantics,tests", then a line for each row that is wanted.
void write_csv(std::ostream& out, const std::function<bool(const Row&)>& wanted);

/// The same for people, in columns, with the operands.
void write_table(std::ostream& out, const std::function<bool(const Row&)>& wanted);

}  // namespace baton::cpu::isa
