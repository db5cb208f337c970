-- SPDX-License-Identifier: Apache-2.0
-- What a scripting language does all day: tables, strings, closures, calls.
local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end
local function queens(n)
  local found, columns, up, down = 0, {}, {}, {}
  local function place(row)
    if row > n then found = found + 1 return end
    for c = 1, n do
      if not (columns[c] or up[row + c] or down[row - c + n]) then
        columns[c], up[row + c], down[row - c + n] = true, true, true
        place(row + 1)
        columns[c], up[row + c], down[row - c + n] = nil, nil, nil
      end
    end
  end
  place(1)
  return found
end
local words, text = {}, {}
for i = 1, 20000 do text[i] = "w" .. (i * 7919 % 1009) end
for w in table.concat(text, " "):gmatch("%w+") do words[w] = (words[w] or 0) + 1 end
local list = {}
for w, n in pairs(words) do list[#list + 1] = string.format("%05d %s", n, w) end
table.sort(list)
assert(#list == 1009 and fib(24) == 46368 and queens(7) == 40)
print(list[1], list[#list], fib(20), queens(6))
