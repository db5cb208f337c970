// SPDX-License-Identifier: Apache-2.0
#include "migration/stream.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/migration/support.h"

namespace baton::migration {
namespace {

std::vector<u8> pattern(std::size_t size) {
  std::vector<u8> out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<u8>(i * 7 + i / 256);
  return out;
}

TEST(Stream, FramesComeBack) {
  Buffer buffer;
  FrameWriter writer(buffer);
  const std::vector<u8> data = pattern(5000);
  writer.send(FrameType::kMemory, data);
  writer.send(FrameType::kRound);
  writer.send_text(FrameType::kAbort, "off");
  const std::span<const u8> parts[] = {std::span(data).first(10), std::span(data).subspan(10)};
  writer.send_parts(FrameType::kTable, parts);
  FrameReader reader(buffer);
  Frame frame = reader.read();
  EXPECT_EQ(frame.type, FrameType::kMemory);
  EXPECT_TRUE(std::equal(frame.payload.begin(), frame.payload.end(), data.begin(), data.end()));
  EXPECT_EQ(reader.read().type, FrameType::kRound);
  EXPECT_EQ(reader.read().text(), "off");
  frame = reader.read();
  EXPECT_EQ(frame.type, FrameType::kTable);
  EXPECT_TRUE(std::equal(frame.payload.begin(), frame.payload.end(), data.begin(), data.end()));
  EXPECT_EQ(reader.bytes(), writer.bytes());
  EXPECT_THROW(reader.read(), StreamError);
}

TEST(Stream, PagesThatCompressAreCompressed) {
  Buffer buffer;
  FrameWriter writer(buffer);
  writer.compress();
  const std::vector<u8> data = pattern(200'000);
  std::vector<u8> noise(200'000);
  std::mt19937 random(1);
  for (u8& byte : noise) byte = static_cast<u8>(random());
  const std::span<const u8> parts[] = {std::span(data).first(10), std::span(data).subspan(10)};
  writer.send_parts(FrameType::kMemory, parts);
  EXPECT_LT(buffer.bytes.size(), data.size() / 2);
  const std::size_t before = buffer.bytes.size();
  writer.send(FrameType::kTable, noise);
  EXPECT_EQ(buffer.bytes.size(), before + kFrameHeaderBytes + noise.size());
  writer.send(FrameType::kState, data);
  EXPECT_EQ(buffer.bytes.size(), before + 2 * kFrameHeaderBytes + noise.size() + data.size());
  FrameReader reader(buffer);
  for (const std::vector<u8>* sent : std::initializer_list<const std::vector<u8>*>{&data, &noise, &data}) {
    const Frame frame = reader.read();
    EXPECT_TRUE(std::equal(frame.payload.begin(), frame.payload.end(), sent->begin(), sent->end()));
  }
  EXPECT_EQ(reader.bytes(), writer.bytes());
}

TEST(Stream, WhatIsNoCompressedFrameIsRefused) {
  const std::vector<u8> data = pattern(100'000);
  const std::span<const u8> parts[] = {data};
  Compressor compressor;
  const std::span<const u8> packed = compressor.compress(parts);
  ASSERT_FALSE(packed.empty());
  Decompressor decompressor;
  EXPECT_EQ(decompressor.decompress(packed, data.size()).size(), data.size());
  EXPECT_THROW(decompressor.decompress(packed, data.size() - 1), StreamError) << "larger than it may be";
  EXPECT_THROW(decompressor.decompress({}, data.size()), StreamError);
  EXPECT_THROW(decompressor.decompress(data, data.size()), StreamError);
  for (std::size_t size = 0; size < packed.size(); size += 1 + size / 3)
    EXPECT_THROW(decompressor.decompress(packed.first(size), data.size()), StreamError) << size;
}

TEST(Stream, OnlyPagesMayBeCompressed) {
  for (const u32 flags : {1u, 2u, 3u}) {
    for (const FrameType type : {FrameType::kMemory, FrameType::kState}) {
      Buffer buffer;
      FrameWriter(buffer).send(type, pattern(100));
      buffer.bytes[4] = static_cast<u8>(flags);
      FrameReader reader(buffer);
      EXPECT_THROW(reader.read(), StreamError);
    }
  }
}

TEST(Stream, EveryFlippedBitIsNoticed) {
  Buffer good;
  FrameWriter writer(good);
  writer.send(FrameType::kMemory, pattern(300));
  writer.send(FrameType::kPrepare);
  writer.send(FrameType::kCommit);
  for (std::size_t at = 0; at < good.bytes.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      Buffer bad = good;
      bad.bytes[at] ^= static_cast<u8>(1 << bit);
      FrameReader reader(bad);
      EXPECT_THROW(
          {
            for (int i = 0; i < 3; ++i) reader.read();
          },
          StreamError)
          << "byte " << at << " bit " << bit;
    }
  }
}

TEST(Stream, TlsAnswersForThePayloadAndNothingElseDoes) {
  Buffer buffer;
  buffer.tls = true;
  FrameWriter(buffer).send_text(FrameType::kRefused, "no");
  EXPECT_EQ(FrameReader(buffer).read().text(), "no");
  buffer.at = 0;
  buffer.bytes[8] ^= 1;  // The header has its checksum all the same.
  EXPECT_THROW(FrameReader(buffer).read(), StreamError);
  buffer.bytes[8] ^= 1;
  buffer.at = 0;
  buffer.tls = false;  // Who sends without TLS cannot do without.
  EXPECT_THROW(FrameReader(buffer).read(), StreamError);
  // What an older mover sends by TLS has both.
  Buffer older;
  FrameWriter(older).send_text(FrameType::kRefused, "no");
  older.tls = true;
  EXPECT_EQ(FrameReader(older).read().text(), "no");
  older.at = 0;
  older.bytes[kFrameHeaderBytes] ^= 1;
  EXPECT_THROW(FrameReader(older).read(), StreamError);
}

TEST(Stream, TruncationAndReorderingAreNoticed) {
  Buffer good;
  FrameWriter writer(good);
  writer.send(FrameType::kPrepare);
  writer.send(FrameType::kCommit);
  for (std::size_t length = 0; length < good.bytes.size(); ++length) {
    Buffer cut;
    cut.bytes.assign(good.bytes.begin(), good.bytes.begin() + static_cast<std::ptrdiff_t>(length));
    FrameReader reader(cut);
    EXPECT_THROW(
        {
          reader.read();
          reader.read();
        },
        StreamError);
  }
  Buffer swapped;
  swapped.bytes.assign(good.bytes.begin() + kFrameHeaderBytes, good.bytes.end());
  FrameReader reader(swapped);
  EXPECT_THROW(reader.read(), StreamError) << "the second frame is not the first";
}

TEST(Stream, LengthsAreBoundedBeforeAnythingIsStored) {
  Buffer buffer;
  FrameWriter writer(buffer);
  EXPECT_THROW(writer.send(FrameType::kRound, pattern(1)), StreamError);
  FrameWriter second(buffer);
  second.send(FrameType::kState, pattern(10));
  const u64 huge = ~u64{0};
  std::memcpy(buffer.bytes.data() + 8, &huge, 8);
  FrameReader reader(buffer);
  EXPECT_THROW(reader.read(), StreamError);
}

TEST(Stream, PreambleCarriesIdAndKey) {
  Buffer buffer;
  Preamble sent;
  sent.stream_id = random_stream_id();
  sent.key = random_key();
  write_preamble(buffer, sent);
  const Preamble got = read_preamble(buffer);
  EXPECT_EQ(got.stream_id, sent.stream_id);
  EXPECT_EQ(got.key, sent.key);
  buffer.at = 0;
  buffer.bytes[8] = kStreamVersion + 1;
  EXPECT_THROW(read_preamble(buffer), StreamError) << "another version";
  buffer.at = 0;
  buffer.bytes[0] ^= 1;
  EXPECT_THROW(read_preamble(buffer), StreamError);
}

TEST(Stream, KeysAreHexadecimal) {
  const Key key = random_key();
  Key back{};
  ASSERT_TRUE(key_from_hex(key_to_hex(key), back));
  EXPECT_EQ(back, key);
  EXPECT_FALSE(key_from_hex("12", back));
  EXPECT_FALSE(key_from_hex(std::string(64, 'x'), back));
}

}  // namespace
}  // namespace baton::migration
