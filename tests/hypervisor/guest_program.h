// SPDX-License-Identifier: Apache-2.0
// A few instructions by name, for bare-metal programs that stand in for partition firmware.
#pragma once

#include <fstream>
#include <initializer_list>
#include <string>
#include <vector>

#include "cpu/bits.h"

namespace baton::hypervisor::test {

class GuestProgram {
 public:
  GuestProgram() : image_(0x8000) { org(0x100); }

  void org(u32 address) { at_ = address; }
  u32 here() const { return at_; }
  void word(u32 value) {
    store_be<u32>(image_.data() + at_, value);
    at_ += 4;
  }
  /// 32-bit constant, zero-extended.
  void load(u32 r, u32 value) {
    word(24u << 26 | kZero << 21 | r << 16 | (value & 0xFFFF));  // ori r,r31(=0),low
    word(25u << 26 | r << 21 | r << 16 | value >> 16);           // oris
  }
  void prologue() { word(14u << 26 | kZero << 21); }  ///< li r31,0: every program begins so, for load().
  void load_high(u32 r, u32 high) {                   ///< high << 32
    load(r, high);
    word(0x780007C6 | r << 21 | r << 16);
  }
  void addi(u32 rt, u32 ra, i32 value) {
    word(14u << 26 | rt << 21 | ra << 16 | (static_cast<u32>(value) & 0xFFFF));
  }
  void stw(u32 rs, i32 d, u32 ra) { word(36u << 26 | rs << 21 | ra << 16 | (static_cast<u32>(d) & 0xFFFF)); }
  void std(u32 rs, i32 d, u32 ra) { word(62u << 26 | rs << 21 | ra << 16 | (static_cast<u32>(d) & 0xFFFC)); }
  void lwz(u32 rt, i32 d, u32 ra) { word(32u << 26 | rt << 21 | ra << 16 | (static_cast<u32>(d) & 0xFFFF)); }
  void lbz(u32 rt, i32 d, u32 ra) { word(34u << 26 | rt << 21 | ra << 16 | (static_cast<u32>(d) & 0xFFFF)); }
  void cmpwi(u32 ra, i32 value) { word(11u << 26 | ra << 16 | (static_cast<u32>(value) & 0xFFFF)); }
  void branch(u32 to) { word(18u << 26 | ((to - at_) & 0x3FFFFFC)); }
  void bne(u32 to) { word(16u << 26 | 4u << 21 | 2u << 16 | ((to - at_) & 0xFFFC)); }
  void beq(u32 to) { word(16u << 26 | 12u << 21 | 2u << 16 | ((to - at_) & 0xFFFC)); }
  void mtspr(u32 spr, u32 rs) {
    word(31u << 26 | rs << 21 | (spr & 31) << 16 | (spr >> 5) << 11 | 467u << 1);
  }
  void mfspr(u32 rt, u32 spr) {
    word(31u << 26 | rt << 21 | (spr & 31) << 16 | (spr >> 5) << 11 | 339u << 1);
  }
  void mfmsr(u32 rt) { word(31u << 26 | rt << 21 | 83u << 1); }
  void rfid() { word(0x4C000024); }
  void sc1() { word(0x44000022); }
  void spin() { branch(at_); }
  void hcall(u32 token) {
    load(3, token);
    sc1();
  }
  void hcall(u32 token, std::initializer_list<u32> arguments) {
    u32 r = 4;
    for (const u32 argument : arguments) load(r++, argument);
    hcall(token);
  }
  /// RTAS call with the argument buffer at `buffer`, filled here.
  void rtas(u32 buffer, u32 token, std::initializer_list<u32> arguments, u32 nrets = 1) {
    const u32 resume = at_;
    org(buffer);
    word(token);
    word(static_cast<u32>(arguments.size()));
    word(nrets);
    for (const u32 argument : arguments) word(argument);
    org(resume);
    hcall(0xF000, {buffer});
  }
  /// Writes the image and gives its path.
  std::string save(const std::string& path) const {
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(image_.data()), static_cast<std::streamsize>(image_.size()));
    return path;
  }

 private:
  static constexpr u32 kZero = 31;
  std::vector<u8> image_;
  u32 at_ = 0;
};

}  // namespace baton::hypervisor::test
