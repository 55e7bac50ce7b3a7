-- The schema: what is accepted, what a complaint says, and what was meant.

local schema = require "rtlua.schema"
local suggest = require "rtlua.suggest"

local record = {
  name = "ball",
  fields = {
    { "first", position = 1, type = "number" },
    { "radius", type = "number", above = 0, default = 1 },
    { "count", type = "integer", min = 1, max = 10, infinite = true },
    { "kind", type = "enum", values = { "round", "square" }, default = "round" },
    { "shown", type = "boolean" },
    { "name", type = "string" },
    { "size", type = "numbers", count = 2, join = "x", element = { type = "integer", min = 1 } },
    { "other", type = "number" },
  },
  exclusive = { { "name", "kind" } },
  together = { { "size", "shown" } },
}

local function complaint(input)
  local fields, message = schema.read(record, input)
  assert.is_nil(fields)
  return message
end

describe("a record", function()
  it("fills in defaults", function() assert.same({ radius = 1, kind = "round" }, schema.read(record, {})) end)
  it("reads nil as no fields", function() assert.same({ radius = 1, kind = "round" }, schema.read(record, nil)) end)
  it("leaves defaults out when sparse", function()
    assert.same({ radius = 3 }, schema.read(record, { radius = 3 }, true))
  end)
  it("reads elements by position", function() assert.equal(7, schema.read(record, { 7 }).first) end)
  it("does not hand out the user's own tables", function()
    local size = { 3, 4 }
    local fields = schema.read(record, { size = size, shown = true })
    assert.same(size, fields.size)
    assert.not_equal(size, fields.size)
  end)
  it("takes inf where it may be", function()
    assert.equal(math.huge, schema.read(record, { count = math.huge }).count)
  end)
  it("turns a whole float into an integer", function()
    assert.equal("integer", math.type(schema.read(record, { count = 3.0 }).count))
  end)
end)

describe("a complaint", function()
  for _, case in ipairs {
    { { radus = 2 }, "unknown field 'radus' (did you mean 'radius'?)" },
    { { rdaius = 2 }, "unknown field 'rdaius' (did you mean 'radius'?)" },
    { { zzz = 2 }, "unknown field 'zzz': its fields are radius, count, kind, shown, name, size, other" },
    { { 1, 2 }, "[2]: expected 1 elements at most" },
    { { radius = 0 }, "radius: expected a number above 0, got 0" },
    { { radius = 0 / 0 }, "radius: expected a number above 0, got NaN" },
    { { radius = math.huge }, "radius: expected a number above 0, got inf" },
    { { radius = "1" }, "radius: expected a number above 0, got '1'" },
    { { count = 1.5 }, "count: expected a whole number from 1 to 10, or inf, got 1.5" },
    { { kind = "suare" }, "kind: expected \"round\" or \"square\", got 'suare' (did you mean 'square'?)" },
    { { shown = 1, size = { 1, 1 } }, "shown: expected true or false, got 1" },
    { { name = "" }, "name: expected a string, got ''" },
    { { size = { 1, 2, 3 }, shown = true }, "size: expected 2 numbers, got 3" },
    { { size = { 1, "x" }, shown = true }, "size[2]: expected a whole number of at least 1, got 'x'" },
    { { size = { 1, 2 } }, "size: needs shown beside it" },
    { { name = "a", kind = "round" }, "kind: give it or name, not both" },
    { 7, "expected a table of fields, got 7" },
  } do
    it("says: " .. case[2], function() assert.equal(case[2], complaint(case[1])) end)
  end
  it("names the misspelt field before the one that it leaves wrong", function()
    assert.equal("unknown field 'radus' (did you mean 'radius'?)", complaint { radius = -1, radus = 2 })
  end)
end)

describe("text from the command line", function()
  local function text(name, value)
    for _, f in ipairs(record.fields) do
      if f[1] == name then return schema.text(f, value, "--" .. name) end
    end
  end
  it("is read by the field's type", function()
    assert.equal(2.5, text("radius", "2.5"))
    assert.equal(math.huge, text("count", "inf"))
    assert.equal("square", text("kind", "square"))
    assert.same({ 4, 3 }, text("size", "4x3"))
  end)
  for _, case in ipairs {
    { "count", "-3" }, { "count", "nan" }, { "count", "" }, { "count", "3x" }, { "count", "1e99" },
    { "size", "3" }, { "size", "3x" },
    { "size", "3x4x5" }, { "size", "axb" }, { "kind", "rund" }, { "radius", "inf" },
  } do
    it(("--%s=%s is quoted in the complaint"):format(case[1], case[2]), function()
      local value, message = text(case[1], case[2])
      assert.is_nil(value)
      assert.truthy(message:find(("--%s: expected"):format(case[1]), 1, true))
      assert.truthy(message:find(("got '%s'"):format(case[2]), 1, true), message)
    end)
  end
end)

describe("a suggestion", function()
  it("counts insertions, deletions, substitutions and swaps of neighbours as 1", function()
    assert.equal(0, suggest.distance("radius", "radius"))
    assert.equal(1, suggest.distance("radius", "radiuss"))
    assert.equal(1, suggest.distance("radius", "adius"))
    assert.equal(1, suggest.distance("radius", "rodius"))
    assert.equal(1, suggest.distance("radius", "rdaius"))
    assert.equal(6, suggest.distance("", "radius"))
    assert.equal(3, suggest.distance("kitten", "sitting"))
  end)
  it("is not made for what is far from everything", function()
    assert.is_nil(suggest.nearest("aperture", { "from", "to", "up" }))
    assert.is_nil(suggest.nearest("x", { "to", "up" }))
  end)
end)
