// SPDX-License-Identifier: Apache-2.0
// The record of moves: what a system knows of its partitions after its process died.
#include "migration/ownership.h"

#include <gtest/gtest.h>

#include "tests/migration/support.h"

namespace baton::migration {
namespace {

using Where = Ownership::Where;

/// Writes behind the lines that are there.
void append(const std::string& path, const std::string& text) {
  std::ifstream in(path);
  std::string all((std::istreambuf_iterator<char>(in)), {});
  all.resize(std::min(all.size(), all.find('\0')));
  std::ofstream(path) << all << text;
}

TEST(OwnershipTest, OutlivesTheProcess) {
  Directory folder;
  const std::string path = folder.path() / "A.moves";
  const hypervisor::Profile profile = small_profile("hdisk0");
  {
    Ownership record(path);
    EXPECT_TRUE(record.entries().empty());
    record.leaving(0x11, profile, "system B");
    EXPECT_EQ(record.entries().at("lpar1").where, Where::kInDoubt);
  }
  {
    Ownership record(path);
    EXPECT_EQ(record.entries().at("lpar1").where, Where::kInDoubt);
    EXPECT_EQ(record.entries().at("lpar1").remote, "system B");
    record.stays(0x12);
    EXPECT_EQ(record.entries().at("lpar1").where, Where::kInDoubt) << "another stream";
    record.stays(0x11);
    EXPECT_EQ(record.entries().at("lpar1").where, Where::kHere);
    record.left(0x11);
    EXPECT_EQ(record.entries().at("lpar1").where, Where::kHere) << "it was decided";
    record.leaving(0x13, profile, "system B");
    record.left(0x13);
  }
  {
    Ownership record(path);
    EXPECT_EQ(record.entries().at("lpar1").where, Where::kElsewhere);
    EXPECT_FALSE(record.arrived(0x13));
    record.arrived(0x14, profile, "");
  }
  Ownership record(path);
  const Ownership::Entry entry = record.entries().at("lpar1");
  EXPECT_EQ(entry.where, Where::kHere);
  EXPECT_TRUE(record.arrived(0x14));
  EXPECT_EQ(entry.profile.memory, profile.memory);
  ASSERT_EQ(entry.profile.disks.size(), 1u);
  EXPECT_EQ(entry.profile.disks[0].backing, "hdisk0");
}

TEST(OwnershipTest, ALineThatIsNotWholeDoesNotCount) {
  Directory folder;
  const std::string path = folder.path() / "A.moves";
  {
    Ownership record(path);
    record.arrived(0x11, small_profile(), "B");
  }
  append(path, "0123456789abcdef arrived 22");
  {
    Ownership record(path);
    EXPECT_FALSE(record.arrived(0x22));
    record.arrived(0x33, small_profile(), "B");
  }
  EXPECT_TRUE(Ownership(path).arrived(0x33)) << "written behind what was whole";
  append(path, "0123456789abcdef arrived 22\n");
  EXPECT_THROW(Ownership{path}, std::runtime_error);
}

TEST(OwnershipTest, WithoutAFileItLastsAsLongAsTheProcess) {
  Ownership record("");
  record.arrived(1, small_profile(), "B");
  EXPECT_TRUE(record.arrived(1));
  EXPECT_THROW(Ownership("/nonexistent/A.moves"), std::runtime_error);
}

}  // namespace
}  // namespace baton::migration
