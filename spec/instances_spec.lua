-- rt.instances: many placements of one shape are, to the bit, as many instances given one by one.

local core_of = require("rtlua.scene").core
local folder = require "spec.support.folder"
local probe = require "rtlua.core.probe"
local rt = require "rtlua"

local COUNT = 60

-- Every form of a placement; turned, skewed, mirrored and uneven.
local function placement(i)
  local x, z = 1.1 * (i % 10) - 5, -1.2 * (i // 10)
  local form = i % 5
  if form == 0 then return rt.translate(x, 0, z) * rt.rotate({ 1, 2, 0 }, 17 * i) * rt.scale(0.5, 0.8, -1) end
  if form == 1 then return { 1, 0, 0.3, x, 0, 1, 0, 0.1, 0, 0, 1, z, 0, 0, 0, 1 } end
  if form == 2 then return { 0.7, 0, 0, x, 0, 0.7, 0, 0.2, 0, 0.1, 0.7, z } end
  if form == 3 then return { scale = { 0.5, 1, 0.6 }, rotate = { { 0, 1, 1 }, 31 * i }, translate = { x, 0, z } } end
  return { transform = rt.translate(x, 0.4, z) }
end

-- The fields of rt.instance for the same.
local function fields_of(i)
  local made = placement(i)
  if getmetatable(made) == "rtlua.transform" then return { transform = made } end
  if #made == 12 then table.move({ 0, 0, 0, 1 }, 1, 4, 13, made) end
  return #made == 16 and { transform = rt.matrix(made) } or made
end

local function many(shape, more)
  local fields = { shape, count = COUNT, placement }
  for name, value in pairs(more or {}) do fields[name] = value end
  return rt.instances(fields)
end

local function one_by_one(shape, more)
  local group = {}
  for i = 1, COUNT do
    local fields = fields_of(i)
    fields[1] = shape
    for name, value in pairs(more or {}) do fields[name] = value end
    group[i] = rt.instance(fields)
  end
  return rt.group(group)
end

local copper = rt.metal { preset = "copper", roughness = 0.3 }

local function tetrahedron()
  return rt.mesh {
    vertices = { -0.4, 0, -0.4, 0.5, 0, 0, 0, 0, 0.5, 0, 0.8, 0 }, material = copper, translate = { 0, 0.2, 0 },
    indices = { 1, 2, 3, 1, 4, 2, 2, 4, 3, 3, 4, 1 },
  }
end

-- What is placed, by name; `each` is many or one_by_one.
local arrangements = {
  ["a mesh with a placement of its own"] = function(each) return { each(tetrahedron()) } end,
  ["a round shape, named and hidden, of an inherited material"] = function(each)
    return { each(rt.sphere { radius = 0.45 }, { name = "ball", visible = false, material = copper }) }
  end,
  ["groups in a group that is placed twice, between other things"] = function(each)
    local ball = rt.sphere { radius = 0.3, translate = { 0, 0.5, 0 } }
    local pair = rt.group { rt.box { scale = 0.2 }, tetrahedron(), ball }
    local field = rt.group { rt.sphere { center = { 0, 2, 0 } }, each(pair:at { rotate = { { 0, 1, 0 }, 20 } }),
      rt.box { min = { 6, 0, -1 }, max = { 7, 1, 0 } } }
    return { field, field:at { translate = { 0, 2, 1 }, rotate = { { 1, 0, 0 }, 20 } } }
  end,
  ["lamps"] = function(each)
    local lamp = rt.disk { radius = 0.2, normal = { 0, 1, 1 }, material = rt.light { radiance = 4 } }
    return { each(lamp), rt.sphere { center = { 0, 2, -3 } } }
  end,
  ["what has no bounds"] = function(each)
    return { each(rt.group { rt.plane { point = { 0, -9, 0 } }, rt.sphere { radius = 0.4 } }) }
  end,
}

local function scene(elements)
  elements.camera = rt.camera { from = { 0, 4, 9 }, to = { 0, 0, -3 } }
  elements.background = { top = { 0.3, 0.4, 0.6 }, bottom = 0.2 }
  return rt.scene(elements)
end

local function bytes(s, options)
  local dir <close> = folder.new()
  options.size, options.spp, options.seed = { 64, 36 }, 4, 7
  s:render(options):save(dir.path .. "/a.pfm")
  return dir:read "a.pfm"
end

describe("instances that a function makes", function()
  for name, arrange in pairs(arrangements) do
    it("are those given one by one, of " .. name, function()
      local a, b = scene(arrange(many)), scene(arrange(one_by_one))
      assert.equal(b:hash(), a:hash())
      for _, key in ipairs { "instances", "placed_triangles", "placed_primitives", "lights", "bounds" } do
        assert.same(b:describe()[key], a:describe()[key], key)
      end
      local whole = bytes(b, { threads = 1 })
      assert.is_true(whole == bytes(a, { threads = 1 }))
      assert.is_true(whole == bytes(a, { threads = 2 }))
      assert.is_true(bytes(b, { crop = { 20, 11, 50, 30 } }) == bytes(a, { crop = { 20, 11, 50, 30 } }))
      for x = -5, 5, 0.25 do
        local ray = { origin = { x, 9, 2 }, direction = { 0, -1, -0.5 } }
        assert.same(b:intersect(ray), a:intersect(ray))
      end
    end)
  end

  local function compare(core, ...)
    local t, ordinal = probe.hit(core, ...)
    local bt, bordinal = probe.brute_hit(core, ...)
    assert.same({ bt, bordinal }, { t, ordinal })
    return t and 1 or 0
  end

  it("are hit where the exact test of every primitive says", function()
    local core = core_of(scene(arrangements["groups in a group that is placed twice, between other things"](many)))
    local hits = 0
    for i = 1, 2000 do
      local function wave(k) return math.sin(k * i) end
      local x, y, z = 7 * wave(1), 3 + 2 * wave(2), 6 * wave(3)
      hits = hits + compare(core, x, y, z, wave(4), -0.5 + 0.4 * wave(5), wave(6))
    end
    assert.is_true(hits > 500)
  end)

  -- Of more than 2^20 the inverses are not kept: rays make them. All threads cut the topmost ranges of their tree, and
  -- these are in no order.
  it("are the same, and hit there, beyond the number up to which their inverses are kept", function()
    local HALF = 1 << 19
    local function place(i)
      local at = i * 7919 % (2 * HALF)
      return { 0.3, 0.1, 0, at % 1024 / 512 - 1, 0, 0.3, 0, 0, 0, 0, 0.3, -(at // 1024) / 512 }
    end
    local ball = rt.sphere { radius = 0.004 }
    local whole = scene { rt.instances { ball, count = 2 * HALF + 2, place } }
    local halves = scene {
      rt.instances { ball, count = HALF, place },
      rt.instances { ball, count = HALF + 2, function(i) return place(HALF + i) end },
    }
    assert.equal(halves:hash(), whole:hash())
    assert.is_true(whole:describe().bytes < halves:describe().bytes - 90 * HALF)
    assert.is_true(bytes(halves, {}) == bytes(whole, {}))
    local hits = 0
    for i = 1, 12 do hits = hits + compare(core_of(whole), math.sin(i), 1, -1 + math.cos(3 * i), 0, -1, 0.01) end
    assert.is_true(hits > 5)
  end)

  it("leave nothing in Lua but one handle", function()
    local ball = rt.sphere {}
    collectgarbage()
    local before = collectgarbage "count"
    local field = rt.instances { ball, count = 50000, function(i) return rt.translate(i, 0, 0) end }
    collectgarbage()
    assert.is_true(collectgarbage "count" - before < 100)
    assert.equal(50000, scene({ field }):describe().instances)
  end)
end)

describe("a bad instance", function()
  local ball = rt.sphere {}

  local function complaint(fields)
    local built, e = pcall(rt.instances, fields)
    assert.is_false(built)
    assert.equal("rtlua.error", getmetatable(e))
    assert.is_nil(e.message:find "\n")
    return e.message, e.code
  end

  -- What the function gives for the third of five, and what the complaint says.
  local gives = {
    { "nothing", function() end, "instance 3: expected a transform, got nothing" },
    { "a shape", function() return ball end, "instance 3: expected a transform, got a sphere" },
    {
      "zero as a scale", function() return { scale = 0 } end,
      "instance 3: scale: expected a number or 3 numbers",
    },
    {
      "a misspelt field", function() return { scal = 2 } end,
      "instance 3: unknown field 'scal' (did you mean 'scale'?)",
    },
    {
      "two at once", function() return { transform = rt.scale(2), scale = 2 } end,
      "instance 3: scale: give it or",
    },
    {
      "a singular matrix", function() return { 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0 } end,
      "instance 3: a transform is singular",
    },
    {
      "an all but singular one", function() return { scale = { 1e-9, 1, 1 } } end,
      "instance 3: a transform is all but",
    },
    {
      "not a number", function() return { 0 / 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0 } end,
      "instance 3: a transform is singular or",
    },
    {
      "words", function() return { "a", 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0 } end,
      "instance 3: [1]: expected a number",
    },
    { "too few numbers", function() return { 1, 2, 3 } end, "instance 3: expected 16 numbers, got 3" },
    { "an error", function() error "no idea" end, "no idea" },
    {
      "an error of the library", function() return rt.scale(0) end,
      "rt.scale: expected a transform that can be undone",
    },
    { "an error without words", function() error {} end, "instance 3: its function raised a table" },
  }
  for _, case in ipairs(gives) do
    it("is named, where the function gives " .. case[1], function()
      local message, code = complaint {
        ball, count = 5, function(i) return i == 3 and case[2]() or i ~= 3 and rt.translate(i, 0, 0) or nil end,
      }
      assert.equal(65, code)
      assert.truthy(message:find("instances_spec.lua:%d+: rt.instances: instance 3: "), message)
      assert.truthy(message:find(case[3], 1, true), message)
    end)
  end

  it("is not asked for where the count or the function is wrong", function()
    local function make(i) return rt.translate(i, 0, 0) end
    for _, count in ipairs { 0, -1, 1.5, 0 / 0, math.huge, "3" } do
      assert.truthy(complaint({ ball, count = count, make }):find("count: expected a whole number", 1, true))
    end
    assert.truthy(complaint({ ball, make }):find("count: missing", 1, true))
    assert.truthy(complaint({ ball, count = 1e12, make }):find("place groups of them", 1, true))
    assert.truthy(complaint({ ball, count = 2 }):find("[2]: missing: expected a function", 1, true))
    assert.truthy(complaint({ ball, count = 2, 7 }):find("[2]: expected a function", 1, true))
  end)
end)
