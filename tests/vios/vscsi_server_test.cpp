// SPDX-License-Identifier: Apache-2.0
#include "vios/vscsi_server.h"

#include <gtest/gtest.h>

#include <random>

#include "fakes.h"

namespace baton::vios::testing {
namespace {

TEST(VscsiHandshake, InitIsAnsweredWithInitComplete) {
  VscsiBench bench;
  bench.server->client_registered();
  bench.send(0xC0, 1, 0, 0);
  const auto entry = bench.next();
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->high, 0xC002000000000000u);
  EXPECT_EQ(entry->low, 0u);
}

TEST(VscsiHandshake, PingIsAnswered) {
  VscsiBench bench;
  bench.connect();
  bench.server->receive({0x80060000'00000000 | u64{0xF5} << 32, 0});
  const auto entry = bench.next();
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->high >> 48, 0x8006u);
  EXPECT_EQ(entry->high >> 32 & 0xFF, 0xF6u);
}

TEST(VscsiMad, AdapterInfoNamesTheServer) {
  VscsiBench bench;
  bench.connect();
  std::vector<u8> info(148);
  std::ranges::copy(std::string_view("mobile1"), info.begin() + 8);
  bench.memory.write(VscsiBench::kData, info);
  std::vector<u8> mad(24);
  store_be<u32>(&mad[0], 3);
  store_be<u16>(&mad[6], 148);
  store_be<u64>(&mad[8], 0x77);
  store_be<u64>(&mad[16], VscsiBench::kData);
  bench.send_iu(2, mad, 0x77);
  const auto answer = bench.response();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->format, 2);
  EXPECT_EQ(answer->status, 0);
  EXPECT_EQ(answer->tag, 0x77u);
  EXPECT_EQ(load_be<u16>(&answer->iu[4]), 0);
  const auto out = bench.data(VscsiBench::kData, 148);
  EXPECT_STREQ(reinterpret_cast<const char*>(out.data()), "16.a");
  EXPECT_STREQ(reinterpret_cast<const char*>(out.data()) + 8, "vios1");
  EXPECT_EQ(load_be<u32>(&out[104]), 1u);
  EXPECT_EQ(load_be<u32>(&out[112]), 3u);
  EXPECT_GE(load_be<u32>(&out[116]), 0x40000u);
  EXPECT_EQ(bench.server->client_name(), "mobile1");
}

std::vector<u8> capability_list(u32 ecl) {
  std::vector<u8> list(92);
  store_be<u32>(&list[0], 4);
  store_be<u32>(&list[68], 1);
  store_be<u16>(&list[72], 12);
  store_be<u16>(&list[74], 1);
  store_be<u32>(&list[76], ecl);
  store_be<u32>(&list[80], 2);
  store_be<u16>(&list[84], 12);
  store_be<u16>(&list[86], 1);
  store_be<u32>(&list[88], 1);
  return list;
}

TEST(VscsiMad, CapabilitiesMakeTheClientMigratable) {
  VscsiBench bench;
  bench.connect();
  EXPECT_FALSE(bench.server->migratable());
  bench.memory.write(VscsiBench::kData, capability_list(1));
  std::vector<u8> mad(24);
  store_be<u32>(&mad[0], 5);
  store_be<u16>(&mad[6], 92);
  store_be<u64>(&mad[8], 0x78);
  store_be<u64>(&mad[16], VscsiBench::kData);
  bench.send_iu(2, mad, 0x78);
  const auto answer = bench.response();
  ASSERT_TRUE(answer);
  EXPECT_EQ(load_be<u16>(&answer->iu[4]), 0);
  const auto out = bench.data(VscsiBench::kData, 92);
  EXPECT_EQ(load_be<u16>(&out[74]), 1);
  EXPECT_EQ(load_be<u16>(&out[86]), 1);
  EXPECT_TRUE(bench.server->migratable());
  bench.server->client_closed();
  EXPECT_FALSE(bench.server->migratable());
}

TEST(VscsiMad, FastFailIsTakenAndTapeIsNot) {
  VscsiBench bench;
  bench.connect();
  for (const auto& [type, status] : {std::pair<u32, u16>{8, 0}, {6, 0xF1}, {99, 0xF1}}) {
    std::vector<u8> mad(24);
    store_be<u32>(&mad[0], type);
    store_be<u64>(&mad[8], 0x100 + type);
    bench.send_iu(2, mad, 0x100 + type);
    const auto answer = bench.response();
    ASSERT_TRUE(answer);
    EXPECT_EQ(load_be<u16>(&answer->iu[4]), status) << type;
  }
}

TEST(VscsiLogin, GivesCreditsAndFormats) {
  VscsiBench bench;
  bench.connect();
  const auto answer = bench.login();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->iu[0], 0xC0);
  EXPECT_GE(load_be<u32>(&answer->iu[4]), 2u);
  EXPECT_EQ(load_be<u64>(&answer->iu[8]), answer->tag);
  EXPECT_EQ(load_be<u32>(&answer->iu[16]), 256u);
  EXPECT_EQ(load_be<u16>(&answer->iu[24]), 6u);
}

TEST(VscsiLogin, RefusesWhatItCannotServe) {
  VscsiBench bench;
  bench.connect();
  EXPECT_EQ(bench.login(4096)->iu[0], 0xC2);
  EXPECT_EQ(bench.login(256, 0)->iu[0], 0xC2);
}

TEST(VscsiLogin, CommandsBeforeItFail) {
  VscsiBench bench;
  bench.connect();
  const auto answer = bench.command({0x00});
  EXPECT_EQ(answer.flags() & 1, 1);
  EXPECT_NE(answer.code(), 0);
}

TEST(VscsiCommand, InquiryAndUnusedAddresses) {
  VscsiBench bench;
  bench.start();
  const VscsiBench::Transfer to{VscsiBench::kData, 96, false};
  auto answer = bench.command({0x12, 0, 0, 0, 96}, to);
  EXPECT_EQ(answer.scsi_status(), 0);
  auto data = bench.data(VscsiBench::kData, 96);
  EXPECT_EQ(data[0], 0);
  EXPECT_EQ(std::string(data.begin() + 8, data.begin() + 21), "AIX     VDASD");
  for (const u64 lun : {u64{0x8200} << 48, u64{0x8101} << 48, u64{0x8120} << 48, u64{0x8100} << 48 | 1}) {
    answer = bench.command({0x12, 0, 0, 0, 96}, to, lun);
    EXPECT_EQ(answer.scsi_status(), 0);
    EXPECT_EQ(bench.data(VscsiBench::kData, 1)[0], 0x7F);
    answer = bench.command({0x00}, {}, lun);
    EXPECT_EQ(answer.scsi_status(), 2);
    EXPECT_EQ(answer.key(), 5);
    EXPECT_EQ(answer.asc(), 0x25);
  }
}

TEST(VscsiCommand, ReportLunsOfTheServerAndOfATarget) {
  VscsiBench bench;
  bench.start();
  std::vector<u8> cdb(12);
  cdb[0] = 0xA0;
  store_be<u32>(&cdb[6], 64);
  const VscsiBench::Transfer to{VscsiBench::kData, 64, false};
  EXPECT_EQ(bench.command(cdb, to, 0).scsi_status(), 0);
  auto list = bench.data(VscsiBench::kData, 16);
  EXPECT_EQ(load_be<u32>(&list[0]), 8u);
  EXPECT_EQ(load_be<u64>(&list[8]), VscsiBench::kTarget1);
  EXPECT_EQ(bench.command(cdb, to).scsi_status(), 0);
  list = bench.data(VscsiBench::kData, 16);
  EXPECT_EQ(load_be<u64>(&list[8]), 0u);
}

TEST(VscsiCommand, WritesAndReadsBack) {
  VscsiBench bench;
  bench.start();
  const auto what = pattern(64 << 10, 3);
  bench.memory.write(VscsiBench::kData, what);
  auto answer = bench.command(write10(100, 128), VscsiBench::Transfer{VscsiBench::kData, 64 << 10, true});
  EXPECT_EQ(answer.scsi_status(), 0);
  EXPECT_EQ(load_be<u32>(&answer.iu[4]), 1u);  // One credit back.
  EXPECT_EQ(bench.disk->at(100 * 512, 64 << 10), what);
  answer = bench.command(read10(100, 128), VscsiBench::Transfer{0x200000, 64 << 10, false});
  EXPECT_EQ(answer.scsi_status(), 0);
  EXPECT_EQ(answer.flags(), 0);
  EXPECT_EQ(bench.data(0x200000, 64 << 10), what);
}

/// An indirect table of `count` pieces; the first `inline_count` also in the unit.
std::vector<u8> indirect(VscsiBench& bench, u64 tag, bool out, u32 count, u32 inline_count, u32 piece,
                         u32 total) {
  std::vector<u8> table(count * 16);
  for (u32 i = 0; i < count; i++) {
    store_be<u64>(&table[i * 16], VscsiBench::kData + u64{i} * 0x3000);
    store_be<u32>(&table[i * 16 + 12], piece);
  }
  bench.memory.write(VscsiBench::kTable, table);
  std::vector<u8> iu(48);
  iu[0] = 2;
  iu[5] = out ? 0x20 : 0x02;
  iu[out ? 6 : 7] = static_cast<u8>(inline_count);
  store_be<u64>(&iu[8], tag);
  store_be<u64>(&iu[20], VscsiBench::kTarget1);
  const auto cdb = out ? write10(8, static_cast<u16>(total / 512)) : read10(8, static_cast<u16>(total / 512));
  std::ranges::copy(cdb, iu.begin() + 32);
  iu.resize(68);
  store_be<u64>(&iu[48], count > inline_count ? VscsiBench::kTable : 0);
  store_be<u32>(&iu[60], count * 16);
  store_be<u32>(&iu[64], total);
  iu.insert(iu.end(), table.begin(), table.begin() + std::min(count, inline_count) * 16);
  return iu;
}

TEST(VscsiCommand, IndirectDescriptorsInlineAndFromTheTable) {
  VscsiBench bench;
  bench.start();
  u64 tag = 0x5000;
  for (const u32 count : {3u, 10u, 37u}) {
    const u32 piece = 1024 * 3, total = piece * count;
    const auto what = pattern(total, static_cast<u8>(count));
    for (u32 i = 0; i < count; i++)
      bench.memory.write(VscsiBench::kData + u64{i} * 0x3000, std::span(what).subspan(i * piece, piece));
    bench.send_iu(1, indirect(bench, tag, true, count, std::min(count, 10u), piece, total), tag);
    auto answer = bench.response();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->scsi_status(), 0) << count;
    EXPECT_EQ(bench.disk->at(8 * 512, total), what) << count;
    tag++;
    bench.memory.fill(VscsiBench::kData, 0, 0x3000 * count);
    bench.send_iu(1, indirect(bench, tag, false, count, std::min(count, 10u), piece, total), tag);
    answer = bench.response();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->scsi_status(), 0) << count;
    for (u32 i = 0; i < count; i++)
      EXPECT_EQ(bench.data(VscsiBench::kData + u64{i} * 0x3000, piece),
                std::vector<u8>(what.begin() + i * piece, what.begin() + (i + 1) * piece));
    tag++;
  }
}

TEST(VscsiCommand, ManyAtATime) {
  VscsiBench bench;
  bench.start();
  for (u32 i = 0; i < 64; i++) bench.disk->put(i * 4096, pattern(4096, static_cast<u8>(i)));
  for (u32 i = 0; i < 64; i++)
    bench.submit(read10(i * 8, 8), VscsiBench::Transfer{VscsiBench::kData + i * 4096, 4096, false});
  for (u32 i = 0; i < 64; i++) {
    const auto answer = bench.response();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->scsi_status(), 0);
  }
  for (u32 i = 0; i < 64; i++)
    EXPECT_EQ(bench.data(VscsiBench::kData + i * 4096, 4096), pattern(4096, static_cast<u8>(i)));
}

TEST(VscsiCommand, OrderedTaskSeparates) {
  VscsiBench bench;
  bench.start();
  bench.disk->hold(true);
  const u64 first = bench.submit(read10(0, 1), VscsiBench::Transfer{VscsiBench::kData, 512, false});
  const u64 ordered = bench.submit(read10(0, 1), VscsiBench::Transfer{VscsiBench::kData, 512, false},
                                   VscsiBench::kTarget1, 2);
  const u64 last = bench.submit(read10(0, 1), VscsiBench::Transfer{VscsiBench::kData, 512, false});
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(bench.disk->waiting, 1);
  bench.disk->hold(false);
  EXPECT_EQ(bench.response()->tag, first);
  EXPECT_EQ(bench.response()->tag, ordered);
  EXPECT_EQ(bench.response()->tag, last);
}

TEST(VscsiCommand, UnmappedMemoryIsAnErrorAndNothingIsWritten) {
  VscsiBench bench;
  bench.start();
  bench.tce.put(VscsiBench::kData + 0x1000, 0);
  const auto before = bench.disk->at(0, 8192);
  auto answer = bench.command(write10(0, 16), VscsiBench::Transfer{VscsiBench::kData, 8192, true});
  EXPECT_EQ(answer.scsi_status(), 2);
  EXPECT_EQ(bench.disk->at(0, 8192), before);
  bench.tce.put(VscsiBench::kData + 0x1000,
                (VscsiBench::kData + 0x1000) | 1);  // The device may only read it.
  answer = bench.command(read10(0, 16), VscsiBench::Transfer{VscsiBench::kData, 8192, false});
  EXPECT_EQ(answer.scsi_status(), 2);
  answer = bench.command(write10(0, 16), VscsiBench::Transfer{VscsiBench::kData, 8192, true});
  EXPECT_EQ(answer.scsi_status(), 0);
}

TEST(VscsiCommand, ShortDataOutWritesNothing) {
  VscsiBench bench;
  bench.start();
  const auto answer = bench.command(write10(0, 16), VscsiBench::Transfer{VscsiBench::kData, 4096, true});
  EXPECT_EQ(answer.scsi_status(), 2);
  EXPECT_EQ(bench.disk->writes, 0u);
}

TEST(VscsiCommand, ResidualOfAShortAnswer) {
  VscsiBench bench;
  bench.start();
  const auto answer =
      bench.command({0x12, 0, 0, 0, 255}, VscsiBench::Transfer{VscsiBench::kData, 255, false});
  EXPECT_EQ(answer.scsi_status(), 0);
  EXPECT_TRUE(answer.flags() & 0x10);
  EXPECT_EQ(load_be<u32>(&answer.iu[24]), 255u - 96);
}

u64 manage(VscsiBench& bench, u8 function, u64 managed, u64 lun = VscsiBench::kTarget1) {
  std::vector<u8> iu(48);
  iu[0] = 1;
  const u64 tag = 0x9000 + managed;
  store_be<u64>(&iu[8], tag);
  store_be<u64>(&iu[20], lun);
  iu[30] = function;
  store_be<u64>(&iu[32], managed);
  return bench.send_iu(1, iu, tag);
}

TEST(VscsiTaskManagement, AbortedTaskMovesNoDataAfterTheAnswer) {
  VscsiBench bench;
  bench.start();
  bench.disk->put(0, pattern(4096, 9));
  bench.disk->hold(true);
  std::vector<u64> tags;
  for (int i = 0; i < 8; i++)
    tags.push_back(
        bench.submit(read10(0, 8), VscsiBench::Transfer{VscsiBench::kData + i * 4096u, 4096, false}));
  while (bench.disk->waiting < 4) std::this_thread::yield();
  manage(bench, 1, tags[7]);  // Not started.
  auto answer = bench.response();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->code(), 0);
  manage(bench, 1, tags[0]);  // In the disk.
  EXPECT_FALSE(bench.next(50));
  bench.disk->hold(false);
  std::vector<u64> seen;
  for (int i = 0; i < 7; i++) {
    answer = bench.response();
    ASSERT_TRUE(answer);
    seen.push_back(answer->tag);
    if (answer->tag == 0x9000 + tags[0]) {
      EXPECT_EQ(bench.data(VscsiBench::kData, 4096), std::vector<u8>(4096));
    }
  }
  EXPECT_EQ(std::ranges::count(seen, tags[0]), 0);
  EXPECT_EQ(std::ranges::count(seen, tags[7]), 0);
  EXPECT_FALSE(bench.next(50));
}

TEST(VscsiTaskManagement, LunResetAndUnitAttention) {
  VscsiBench bench;
  bench.start();
  manage(bench, 8, 0);
  EXPECT_EQ(bench.response()->code(), 0);
  auto answer = bench.command({0x00});
  EXPECT_EQ(answer.scsi_status(), 2);
  EXPECT_EQ(answer.key(), 6);
  EXPECT_EQ(bench.command({0x00}).scsi_status(), 0);
  manage(bench, 0x77, 0);
  EXPECT_NE(bench.response()->code(), 0);
  manage(bench, 8, 1, u64{0x8500} << 48);
  EXPECT_NE(bench.response()->code(), 0);
}

TEST(VscsiErrors, AreToldInScsi) {
  VscsiBench bench;
  bench.start();
  const VscsiBench::Transfer out{VscsiBench::kData, 512, true}, in{VscsiBench::kData, 512, false};
  bench.disk->write_error = ENOSPC;
  auto answer = bench.command(write10(0, 1), out);
  EXPECT_EQ(answer.key(), 7);
  EXPECT_EQ(answer.asc(), 0x27);
  EXPECT_EQ(answer.ascq(), 7);
  bench.disk->write_error = EROFS;
  EXPECT_EQ(bench.command(write10(0, 1), out).scsi_status(), 0x18);
  bench.disk->write_error = EIO;
  EXPECT_EQ(bench.command(write10(0, 1), out).key(), 3);
  bench.disk->read_error = EIO;
  answer = bench.command(read10(0, 1), in);
  EXPECT_EQ(answer.key(), 3);
  EXPECT_EQ(answer.asc(), 0x11);
  bench.disk->read_error = bench.disk->write_error = 0;
  EXPECT_EQ(bench.command(read10(VscsiBench::kDisk / 512, 1), in).asc(), 0x21);
  EXPECT_EQ(bench.command({0xFE}).asc(), 0x20);
  bench.disk->flush_error = EIO;
  EXPECT_EQ(bench.command({0x35}).key(), 3);
}

TEST(VscsiDurability, FuaAndSynchronizeFlush) {
  VscsiBench bench;
  bench.start();
  const VscsiBench::Transfer out{VscsiBench::kData, 512, true};
  bench.command(write10(0, 1), out);
  EXPECT_EQ(bench.disk->flushes, 0u);
  bench.command(write10(0, 1, true), out);
  EXPECT_EQ(bench.disk->flushes, 1u);
  bench.command({0x35}, {});
  EXPECT_EQ(bench.disk->flushes, 2u);
}

TEST(VscsiQuiesce, FinishesTheRunningAndForgetsTheRest) {
  VscsiBench bench;
  bench.start();
  bench.disk->hold(true);
  for (u32 i = 0; i < 20; i++)
    bench.submit(write10(i, 1), VscsiBench::Transfer{VscsiBench::kData, 512, true});
  while (bench.disk->waiting < 4) std::this_thread::yield();
  std::thread quiesce([&] { bench.server->quiesce(); });
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  bench.disk->hold(false);
  quiesce.join();
  const u64 writes = bench.disk->writes;
  EXPECT_EQ(writes, 4u);
  for (int i = 0; i < 4; i++) EXPECT_TRUE(bench.next(100));
  bench.submit(write10(0, 1), VscsiBench::Transfer{VscsiBench::kData, 512, true});
  EXPECT_FALSE(bench.next(100));
  EXPECT_EQ(bench.disk->writes, writes);
  bench.server->resume();
  bench.start();  // As the client does after its transport event.
  EXPECT_EQ(bench.command(write10(0, 1), VscsiBench::Transfer{VscsiBench::kData, 512, true}).scsi_status(),
            0);
}

TEST(VscsiClose, NobodyIsAnsweredAndNothingMoves) {
  VscsiBench bench;
  bench.start();
  bench.disk->put(0, pattern(4096, 1));
  bench.disk->hold(true);
  bench.submit(read10(0, 8), VscsiBench::Transfer{VscsiBench::kData, 4096, false});
  while (bench.disk->waiting < 1) std::this_thread::yield();
  bench.server->client_closed();
  bench.disk->hold(false);
  EXPECT_FALSE(bench.next(100));
  EXPECT_EQ(bench.data(VscsiBench::kData, 4096), std::vector<u8>(4096));
}

TEST(VscsiNonsense, TooManyMessagesAreDropped) {
  VscsiBench bench;
  bench.start();
  bench.disk->hold(true);
  bool dropped = false;
  for (int i = 0; i < 3000 && !dropped; i++) {
    std::vector<u8> iu(64);
    iu[0] = 2;
    iu[5] = 1;
    store_be<u64>(&iu[20], VscsiBench::kTarget1);
    const auto cdb = read10(0, 1);
    std::ranges::copy(cdb, iu.begin() + 32);
    store_be<u32>(&iu[60], 512);
    bench.memory.write(VscsiBench::kIus, iu);
    dropped = !bench.server->receive({0x80010000'00000040, VscsiBench::kIus});
  }
  EXPECT_TRUE(dropped);
  bench.disk->hold(false);
}

TEST(VscsiNonsense, LongIndirectTableIsRefused) {
  VscsiBench bench;
  bench.start();
  auto iu = indirect(bench, 0x42, false, 3, 3, 512, 1536);
  store_be<u32>(&iu[60], 0xFFFFFFF0);
  bench.send_iu(1, iu, 0x42);
  auto answer = bench.response();
  ASSERT_TRUE(answer);
  EXPECT_NE(answer->code(), 0);
  iu = indirect(bench, 0x43, false, 3, 3, 512, 1536);
  iu[7] = 255;  // More inline descriptors than the unit holds.
  store_be<u32>(&iu[60], 200 * 16);
  bench.send_iu(1, iu, 0x43);
  answer = bench.response();
  ASSERT_TRUE(answer);
  EXPECT_NE(answer->code(), 0);
}

/// Random messages, units and datagrams, half of them almost right. The server must survive, and must still
/// serve.
TEST(VscsiNonsense, RandomMessagesDoNotHurt) {
  VscsiBench bench;
  std::mt19937_64 random(20240611);
  const auto drive = std::make_shared<OpticalDrive>("drive");
  bench.server->map(2, drive);
  drive->load(std::make_shared<OpticalMedium>("a.iso", "/proc/self/exe"));
  bench.start();
  for (u64 page = VscsiBench::kData; page < VscsiBench::kData + 0x40000; page += 0x4000)
    bench.tce.put(page, 0);
  for (int i = 0; i < 20000; i++) {
    std::array<u8, 256> iu;
    for (auto& byte : iu) byte = static_cast<u8>(random());
    const u64 at = VscsiBench::kIus + random() % 200 * 256;
    const u64 kind = random() % 8;
    if (kind < 5) {
      iu[0] = kind < 3 ? 2 : static_cast<u8>(random() % 4);
      if (random() % 2)
        store_be<u64>(&iu[20], random() % 3 ? VscsiBench::kTarget1 : VscsiBench::kTarget1 + (u64{1} << 56));
      iu[5] = static_cast<u8>((random() % 4) << 4 | random() % 4);
      static constexpr u8 kOpcodes[] = {0x00, 0x03, 0x08, 0x0A, 0x12, 0x1A, 0x25, 0x28, 0x2A, 0x35,
                                        0x41, 0x42, 0x5A, 0x88, 0x8A, 0x91, 0x93, 0x9E, 0xA0, 0xA8,
                                        0xAA, 0x2F, 0x8F, 0x2E, 0x1B, 0x1E, 0x43, 0x46, 0x4A};
      if (random() % 4) iu[32] = kOpcodes[random() % sizeof(kOpcodes)];
      if (random() % 2) store_be<u32>(&iu[34], static_cast<u32>(random() % 0x5000));
      if (random() % 2) store_be<u64>(&iu[48], random() % VscsiBench::kMemory);
      if (random() % 2) store_be<u32>(&iu[60], static_cast<u32>(random() % 0x10000));
    } else if (kind == 5) {
      store_be<u32>(&iu[0], static_cast<u32>(random() % 10));
      if (random() % 2) store_be<u64>(&iu[16], random() % VscsiBench::kMemory);
    }
    bench.memory.write(at, iu);
    const u64 low = random() % 16 ? at : random();
    const u8 header = random() % 64 ? 0x80 : static_cast<u8>(random());
    const u8 format = kind == 5 ? 2 : random() % 32 ? 1 : static_cast<u8>(random());
    const u16 length = random() % 16 ? 256 : static_cast<u16>(random());
    bench.server->receive({u64{header} << 56 | u64{format} << 48 | length, low});
    if (random() % 512 == 0) bench.server->client_closed();
    if (random() % 64 == 0) (void)bench.login();
    while (bench.next(0)) {
    }
  }
  while (bench.next(200)) {
  }
  bench.start();
  while (bench.next(100)) {
  }
  bench.command({0x00});  // A unit attention may be pending.
  EXPECT_EQ(bench.command({0x00}).scsi_status(), 0);
}

}  // namespace
}  // namespace baton::vios::testing
