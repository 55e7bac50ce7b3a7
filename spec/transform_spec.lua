-- Transforms and vectors: conventions, composition, and what is exact.

local rt = require "rtlua"

local function near(expected, v)
  for i = 1, 3 do assert.near(expected[i], v[i], 1e-12) end
end

describe("a transform", function()
  it("moves, scales and turns", function()
    near({ 2, 4, 6 }, rt.translate(1, 2, 3) * { 1, 2, 3 })
    near({ 2, 4, 6 }, rt.translate { 1, 2, 3 } * rt.vec(1, 2, 3))
    near({ 2, 4, 6 }, rt.scale(2) * { 1, 2, 3 })
    near({ 1, 4, 9 }, rt.scale { 1, 2, 3 } * { 1, 2, 3 })
  end)
  it("turns counter-clockwise seen from the axis' tip, in degrees", function()
    near({ 0, 0, 1 }, rt.rotate_x(90) * { 0, 1, 0 })
    near({ 0, 0, -1 }, rt.rotate_y(90) * { 1, 0, 0 })
    near({ 0, 1, 0 }, rt.rotate_z(90) * { 1, 0, 0 })
    near({ 0, 1, 0 }, rt.rotate({ 1, 1, 1 }, 120) * { 1, 0, 0 })
    near({ math.sqrt(.75), .5, 0 }, rt.rotate_z(30) * { 1, 0, 0 })
  end)
  it("is exact for quarter turns, however many", function()
    for _, turns in ipairs { -7, -2, -1, 1, 2, 3, 4, 1e6 + 1 } do
      local m = rt.rotate_y(90 * turns)
      for i = 1, 12 do assert.is_true(m[i] == 0 or m[i] == 1 or m[i] == -1) end
    end
  end)
  it("composes from right to left", function()
    near({ 1, 0, -1 }, rt.translate(1, 0, 0) * rt.rotate_y(90) * { 1, 0, 0 })
    near({ 0, 0, -2 }, rt.rotate_y(90) * rt.translate(1, 0, 0) * { 1, 0, 0 })
    assert.equal(rt.translate(1, 2, 3), rt.translate(1, 0, 3) * rt.translate(0, 2, 0))
  end)
  it("does not move directions", function() near({ 1, 2, 3 }, rt.translate(9, 9, 9):direction { 1, 2, 3 }) end)
  it("takes a matrix row by row", function()
    near({ 11, 22, 33 }, rt.matrix { 1, 0, 0, 10, 0, 2, 0, 18, 0, 0, 3, 24, 0, 0, 0, 1 } * { 1, 2, 3 })
  end)
  it("looks from object to world", function()
    local m = rt.look_at { from = { 1, 2, 3 }, to = { 1, 2, -5 } }
    near({ 1, 2, 3 }, m * { 0, 0, 0 })
    near({ 1, 2, 2 }, m * { 0, 0, -1 })
    near({ 1, 3, 3 }, m * { 0, 1, 0 })
    assert.equal(m, rt.look_at({ 1, 2, 3 }, { 1, 2, -5 }, { 0, 1, 0 }))
  end)

  for _, case in ipairs {
    { "rt.scale", rt.scale, 0 }, { "rt.scale", rt.scale, { 1, 0, 1 } }, { "rt.scale", rt.scale, 0 / 0 },
    { "rt.translate", rt.translate, { 1, 2 } }, { "rt.rotate_y", rt.rotate_y, "x" },
    { "rt.rotate_y", rt.rotate_y, math.huge },
    { "rt.rotate", rt.rotate, { { 0, 0, 0 }, 3 } }, { "rt.matrix", rt.matrix, { 1, 2, 3 } },
    { "rt.look_at", rt.look_at, { from = { 0, 0, 0 }, to = { 0, 0, 0 } } },
    { "rt.look_at", rt.look_at, { from = { 0, 0, 0 }, to = { 0, 2, 0 } } },
    { "rt.look_at", rt.look_at, { from = { 0, 0, 0 }, too = { 0, 2, 0 } } },
  } do
    it(("that is none is refused: %s"):format(case[1]), function()
      local ok, e = pcall(case[2], case[3])
      assert.is_false(ok)
      assert.truthy(tostring(e):find("transform_spec.lua:%d+: " .. case[1] .. ": "), tostring(e))
    end)
  end
  it("has no fields to set", function() assert.has_error(function() rt.scale(2).angle = 3 end) end)
end)

describe("a vector", function()
  local v = rt.vec(1, 2, 3)
  it("has components by name and by number", function()
    assert.same({ 1, 2, 3 }, { v.x, v.y, v.z })
    assert.same({ 1, 2, 3 }, { v[1], v[2], v[3] })
  end)
  it("computes", function()
    assert.equal(rt.vec(5, 7, 9), v + { 4, 5, 6 })
    assert.equal(rt.vec(-3, -3, -3), v - { 4, 5, 6 })
    assert.equal(rt.vec(2, 4, 6), 2 * v)
    assert.equal(rt.vec(1, 4, 9), v * v)
    assert.equal(rt.vec(.5, 1, 1.5), v / 2)
    assert.equal(rt.vec(-1, -2, -3), -v)
    assert.equal(32, v:dot { 4, 5, 6 })
    assert.equal(rt.vec(-3, 6, -3), v:cross { 4, 5, 6 })
    assert.equal(5, rt.vec(0, 3, 4):length())
    assert.equal(rt.vec(0, .6, .8), rt.vec(0, 3, 4):normalize())
  end)
  it("of length 0 has no direction", function() assert.has_error(function() rt.vec(0, 0, 0):normalize() end) end)
  it("needs numbers", function() assert.has_error(function() return v + 1 end) end)
end)
