// SPDX-License-Identifier: Apache-2.0
#include "hmc/records.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace baton::hmc {
namespace {

TEST(Records, PlainValuesStandBare) {
  EXPECT_EQ(format_record({{"name", "lpar1"}, {"lpar_id", "2"}}), "name=lpar1,lpar_id=2");
}

TEST(Records, AValueWithACommaQuotesThePair) {
  EXPECT_EQ(format_record({{"name", "a"}, {"modes", "POWER6,default"}}), "name=a,\"modes=POWER6,default\"");
}

// The example of LPM 3.1: an element with commas inside a list inside a record.
TEST(Records, QuotesInsideQuotesAreDoubled) {
  const std::string list = format_list({"3/1/1/10/0/1", "2/1/1/3,4,5/0/1"});
  EXPECT_EQ(list, "3/1/1/10/0/1,\"2/1/1/3,4,5/0/1\"");
  EXPECT_EQ(format_record({{"virtual_eth_adapters", list}}),
            R"("virtual_eth_adapters=3/1/1/10/0/1,""2/1/1/3,4,5/0/1""")");
}

TEST(Records, ReadsWhatItWrites) {
  const Record record{{"a", ""},           {"b", "x y"}, {"c", "1,2"},
                      {"d", "say \"hi\""}, {"e", "k=v"}, {"f", format_list({"1", "2,3"})}};
  EXPECT_EQ(parse_record(format_record(record)), record);
  EXPECT_EQ(split_quoted(parse_record(format_record(record))[5].second),
            (std::vector<std::string>{"1", "2,3"}));
}

TEST(Records, WrongRecordsAreRefused) {
  EXPECT_THROW(parse_record("name"), std::runtime_error);
  EXPECT_THROW(parse_record("=x"), std::runtime_error);
  EXPECT_THROW(parse_record("\"a=1"), std::runtime_error);
  EXPECT_THROW(parse_record("\"a=1\"b"), std::runtime_error);
}

TEST(Records, FieldListsKeepTheirDelimiter) {
  EXPECT_EQ(parse_fields("name").delimiter, ',');
  const FieldList list = parse_fields("name:lpar_id:state");
  EXPECT_EQ(list.names, (std::vector<std::string>{"name", "lpar_id", "state"}));
  EXPECT_EQ(format_values({"a", "1", "Running"}, list.delimiter), "a:1:Running");
  EXPECT_THROW(parse_fields("name,"), std::runtime_error);
  EXPECT_THROW(parse_fields(",name"), std::runtime_error);
  EXPECT_THROW(parse_fields("name:id,state"), std::runtime_error);
}

}  // namespace
}  // namespace baton::hmc
