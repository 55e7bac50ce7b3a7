-- MD5 (RFC 1321) and base64 back to bytes: DigitalOcean names an SSH key by the MD5 of what its base64 says.

local md5 = {}

local SHIFTS = { { 7, 12, 17, 22 }, { 5, 9, 14, 20 }, { 4, 11, 16, 23 }, { 6, 10, 15, 21 } }
local SINES = {}
for i = 1, 64 do SINES[i] = math.floor(math.abs(math.sin(i)) * 2 ^ 32) end

local function step(a, b, c, d, i, words)
  local mixed, k
  if i < 16 then
    mixed, k = (b & c) | (~b & d), i
  elseif i < 32 then
    mixed, k = (d & b) | (~d & c), (5 * i + 1) % 16
  elseif i < 48 then
    mixed, k = b ~ c ~ d, (3 * i + 5) % 16
  else
    mixed, k = c ~ (b | (~d & 0xffffffff)), (7 * i) % 16
  end
  local sum = (a + mixed + SINES[i + 1] + words[k + 1]) & 0xffffffff
  local by = SHIFTS[i // 16 + 1][i % 4 + 1]
  return d, (b + (sum << by | sum >> (32 - by))) & 0xffffffff, b, c
end

--- The digest's 16 bytes in hex, with colons between them.
function md5.fingerprint(text)
  local padded = text .. "\128" .. ("\0"):rep((55 - #text) % 64) .. ("<I8"):pack(8 * #text)
  local a, b, c, d = 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476
  for at = 1, #padded, 64 do
    local words = { ("<" .. ("I4"):rep(16)):unpack(padded, at) }
    local e, f, g, h = a, b, c, d
    for i = 0, 63 do e, f, g, h = step(e, f, g, h, i, words) end
    a, b, c, d = (a + e) & 0xffffffff, (b + f) & 0xffffffff, (c + g) & 0xffffffff, (d + h) & 0xffffffff
  end
  local hex = ("<I4I4I4I4"):pack(a, b, c, d):gsub(".", function(byte) return ("%02x:"):format(byte:byte()) end)
  return hex:sub(1, -2)
end

--- The bytes that base64 says, or nil.
function md5.unbase64(text)
  local data = text:gsub("=+$", "")
  if #text % 4 ~= 0 or data:find "[^%w+/]" then return nil end
  local mime = require "mime"
  return (mime.unb64(text))
end

return md5
