-- Colours: sRGB's curve, and black bodies of luminance 1 whose chromaticity is the published one.

local color = require "rtlua.color"

local function read(value, field)
  local c, got, _, message = color.read(value, field)
  return c, message or got
end

describe("a colour", function()
  it("is grey when it is a number", function() assert.same({ .5, .5, .5 }, read(.5)) end)
  it("is linear when it is a table", function() assert.same({ .1, .2, .3 }, read { .1, .2, .3 }) end)
  it("is sRGB when it is written #rrggbb", function()
    assert.same({ 1, 0, 1 }, read "#ff00ff")
    -- IEC 61966-2-1: ((128 / 255 + 0.055) / 1.055)^2.4, and 10 / 255 / 12.92 on the straight part.
    local c = read "#80000a"
    assert.near(.21586050011, c[1], 1e-10)
    assert.near(10 / 255 / 12.92, c[3], 1e-15)
  end)
  for _, wrong in ipairs { "#12", "#gg0000", "red", "4000", "4000C", "", "K" } do
    it(("is not '%s'"):format(wrong), function() assert.is_nil((read(wrong))) end)
  end
  it("obeys its field's limits", function()
    assert.is_nil((read(1.5, { min = 0, max = 1 })))
    assert.is_nil((read({ 0, 0, -1 }, { min = 0 })))
    assert.is_nil((read("4000K", { min = 0, max = 1 })))
    assert.is_nil((read(0 / 0, {})))
  end)
  it("has three numbers", function()
    assert.is_nil((read { 1, 2 }))
    assert.is_nil((read { 1, 2, 3, 4 }))
    assert.is_nil((read { 1, 2, "x" }))
  end)
end)

describe("a black body", function()
  for _, kelvin in ipairs { 500, 1000, 1900, 2856, 4000, 6504, 10000, 40000, 100000 } do
    it(("of %d K has luminance 1 and no negative component"):format(kelvin), function()
      local r, g, b = color.kelvin(kelvin)
      assert.near(1, color.luminance(r, g, b), 1e-12)
      assert.is_true(r >= 0 and g >= 0 and b >= 0)
    end)
  end

  -- Chromaticities of the Planckian locus (CIE 15): x, y at 2856 K (illuminant A), 4000 K, 6500 K, 10,000 K. Wyman's
  -- fit is good to about a hundredth.
  for _, case in ipairs {
    { 2856, .4476, .4074 }, { 4000, .3805, .3768 }, { 6500, .3135, .3237 }, { 10000, .2807, .2884 },
  } do
    it(("of %d K has the locus' chromaticity"):format(case[1]), function()
      local r, g, b = color.kelvin(case[1])
      local x = .4123908 * r + .3575843 * g + .1804808 * b
      local y = .2126390 * r + .7151687 * g + .0721923 * b
      local z = .0193308 * r + .1191948 * g + .9505322 * b
      assert.near(case[2], x / (x + y + z), .006)
      assert.near(case[3], y / (x + y + z), .006)
    end)
  end

  it("gets bluer with temperature", function()
    local last = -1
    for kelvin = 1500, 20000, 500 do
      local r, _, b = color.kelvin(kelvin)
      assert.is_true(b / r > last)
      last = b / r
    end
  end)
  it("below 500 K or above 100,000 K is refused", function()
    assert.is_nil((read "300K"))
    assert.is_nil((read "200000K"))
    assert.truthy(select(2, read "300K"):find "500K to 100000K")
  end)
end)

describe("a metal's preset", function()
  -- Reflectance at normal incidence, ((n - 1)^2 + k^2) / ((n + 1)^2 + k^2): what these metals are known to look like.
  local metals = require "rtlua.metals"
  local function reflectance(metal)
    local f = {}
    for c = 1, 3 do
      local n, k = metal.eta[c], metal.k[c]
      f[c] = ((n - 1) ^ 2 + k * k) / ((n + 1) ^ 2 + k * k)
    end
    return f
  end

  for name, expected in pairs {
    aluminium = { 0.91, 0.92, 0.92 }, copper = { 0.95, 0.63, 0.54 }, gold = { 0.97, 0.77, 0.33 },
    iron = { 0.53, 0.52, 0.52 }, silver = { 0.97, 0.95, 0.90 },
  } do
    it("reflects as the metal does: " .. name, function()
      local f = reflectance(metals[name])
      for c = 1, 3 do assert.near(expected[c], f[c], 0.05) end
    end)
  end
end)
