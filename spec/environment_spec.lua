-- A script's Lua is exact, trusted or not: the same random numbers, elementary functions and sorts each time, and in
-- the sandbox keys in order. What stands in for stock functions does what they do.

local cjson = require "cjson"
local elementary = require "rtlua.core.elementary"
local folder = require "spec.support.folder"
local lfs = require "lfs"
local ordered = require "rtlua.core.ordered"
local run = require "spec.support.run"

local HEAD = 'local rt = require "rtlua"\n'

-- Runs `text` as script.lua by a program with some words before the script's name.
local function process(text, before, after, program)
  local dir <close> = folder.new()
  dir:write("script.lua", text)
  local words = table.move(before, 1, #before, 1, {})
  words[#words + 1] = "script.lua"
  for _, word in ipairs(after or {}) do words[#words + 1] = word end
  local options = { cwd = dir.path }
  local result = program and run.program(program, words, options) or run.rtlua(words, options)
  assert.same({ "script.lua" }, dir:list())
  return result
end

-- What a script prints, by mode. It returns nothing, which the sandbox complains of at the end.
local printed = {
  run = function(text, arguments)
    local result = process(text, {}, arguments)
    assert.equal(0, result.code, result.stderr)
    return result.stdout
  end,
  render = function(text, arguments)
    local result = process(text, { "render" }, arguments)
    local lines, last = result.stderr:match "^(.*)rtlua: ([^\n]*)\n$"
    assert.truthy(last and last:find "returned no scene", result.stderr)
    return lines
  end,
  stock = function(text)
    local result = process(text, {}, {}, "lua5.4")
    assert.equal(0, result.code, result.stderr)
    return result.stdout
  end,
}

describe("a trusted script's _G", function()
  it("is a table like lua's", function()
    local text = [[
      setmetatable(_G, { __index = function(_, name) error("undeclared " .. name, 0) end })
      x = 1
      local seen = {}
      for k in next, _G do seen[k] = true end
      print(rawget(_G, "x"), seen.x, seen.print, seen.math, rawget(_G, "_G") == _G, _ENV == _G)
      print(pcall(function() return y end))]]
    assert.equal(printed.stock(text), printed.run(text))
    assert.equal("1\ttrue\ttrue\ttrue\ttrue\ttrue\nfalse\tundeclared y\n", printed.run(text))
  end)
end)

local function lines_of(text)
  local lines = {}
  for line in text:gmatch "[^\n]+" do lines[#lines + 1] = line end
  return lines
end

for _, mode in ipairs { "run", "render" } do
  describe("under " .. mode, function()
    it("math.random begins with the same numbers each time, randomseed() or not", function()
      local lines = lines_of(printed[mode] [[
        local function show()
          print(("%a"):format(math.random()), math.random(100), math.random(-3, 3), math.random(0))
        end
        show()
        math.randomseed()
        show()
        math.randomseed(0)
        show()]])
      -- Stock Lua's numbers after randomseed(0).
      math.randomseed(0)
      local expected = ("%a\t%d\t%d\t%d"):format(math.random(), math.random(100), math.random(-3, 3), math.random(0))
      assert.same({ expected, expected, expected }, lines)
    end)

    it("math.random gives stock Lua's numbers after a seed", function()
      local text = [[
        for _, seed in ipairs { { 42 }, { -1 }, { 3.0 }, { 7, 9 }, { math.mininteger, math.maxinteger } } do
          math.randomseed(table.unpack(seed))
          for n = 1, 40 do
            print(("%a"):format(math.random()), math.random(n), math.random(-n, 1 << n), math.random(0))
          end
          print(math.random(math.mininteger, math.maxinteger), math.random(5.0))
        end
        for _, wrong in ipairs { { 0.5 }, { 2, 1 }, { -1 }, { 1, 2, 3 }, { "x" } } do
          print((pcall(math.random, table.unpack(wrong))))
        end]]
      assert.equal(printed.stock(text), printed[mode](text))
    end)

    it("math's elementary functions are rtlua's, to the bit", function()
      local calls = printed[mode] [[
        local function show(name, ...)
          local texts = table.pack(math[name](...), ...)
          for i = 1, texts.n do texts[i] = ("%a"):format(texts[i]) end
          print(name, table.concat(texts, "\t"))
        end
        for i = -40, 40 do
          local x = i * 0.37
          for name in ("sin cos tan atan exp log"):gmatch "%a+" do show(name, x) end
          for name in ("asin acos"):gmatch "%a+" do show(name, x / 15) end
          show("sqrt", math.abs(x))
          show("pow", math.abs(x), 1.7)
          show("atan", x, -0.3)
          for base = 2, 10 do show("log", math.abs(x), base) end
        end]]
      local count = 0
      for name, bits, x, y in calls:gmatch "(%a+)\t(%S+)\t(%S+)\t?(%S*)\n" do
        count = count + 1
        local expected = ("%a"):format(elementary[name](tonumber(x), tonumber(y)))
        if not (bits:find "nan" and expected:find "nan") then assert.equal(expected, bits, name .. " " .. x) end
      end
      assert.equal(81 * 20, count)
    end)

    it("table.sort has one answer, whatever compares", function()
      local text = [[
        for _, less in ipairs { function() return true end, function() return false end,
          function(a, b) return (7 * a + b) % 3 == 0 end, function(a, b) return a <= b end } do
          local t = {}
          for i = 1, 200 do t[i] = i * 7919 % 211 end
          table.sort(t, less)
          print(table.concat(t, " "))
        end]]
      local first = printed[mode](text)
      assert.equal(4, #lines_of(first))
      assert.equal(first, printed[mode](text))
      assert.equal(printed.render(text), first)
      for line in first:gmatch "[^\n]+" do
        local count, sum = 0, 0
        for n in line:gmatch "%d+" do count, sum = count + 1, sum + tonumber(n) end
        local expected = 0
        for i = 1, 200 do expected = expected + i * 7919 % 211 end
        assert.same({ 200, expected }, { count, sum })
      end
    end)

    it("what a module requires by name is exact, too", function()
      assert.equal("true\ttrue\ttrue\n", printed[mode] [[
        print(require "math" == math, require "table" == table, require "_G" == _G)]])
    end)

    it("gets its arguments untouched", function()
      if mode == "render" then -- which takes no arguments for the scene
        assert.equal("0\tscript.lua\t0\n", printed.render "print(select('#', ...), arg[0], #arg)")
        return
      end
      local words = {
        "--help", "-h", "--version", "a b", "", "-o", "x.bmp", "--size", "never", "--quiet", "--", "--trust",
        "-D", "n=3", "--time-limit", "30", "--traceback", "render", "'\"$HOME\\n", "\xFF",
      }
      local text = "for i, word in ipairs { ... } do print(('%q'):format(word), word == arg[i]) end print(arg[0], #arg)"
      local expected = {}
      for i, word in ipairs(words) do expected[i] = ("%q\ttrue"):format(word) end
      expected[#expected + 1] = ("script.lua\t%d"):format(#words)
      assert.equal(table.concat(expected, "\n") .. "\n", printed.run(text, words))
    end)

    it("parameters have the types of their defaults", function()
      local text = HEAD .. [[
        local p = rt.params { n = 1, s = "a", b = false, v = { 0, 0, 0 }, other = 7 }
        print(p.n, math.type(p.n), p.s, type(p.s), p.b, #p.v, p.v[1], p.v[3], p.other)
      ]]
      local function with(...)
        local arguments = {}
        for _, word in ipairs { ... } do
          arguments[#arguments + 1] = "-D"
          arguments[#arguments + 1] = word
        end
        return arguments
      end
      assert.equal("1\tinteger\ta\tstring\tfalse\t3\t0\t0\t7\n", printed[mode](text))
      assert.equal("2.5\tfloat\t12\tstring\ttrue\t3\t1\t-0.5\t7\n",
        printed[mode](text, with("n=2.5", "s=12", "b=true", "v=1,2,-0.5")))
      assert.equal("-3\tinteger\ta=b, c\tstring\tfalse\t3\t0\t0\t7\n", printed[mode](text, with("n=-3", "s=a=b, c")))
      for _, wrong in ipairs { "n=x", "b=1", "b=yes", "v=1,2", "v=1,2,x", "n=nan", "s=" } do
        local result = process(text, mode == "render" and { "render" } or {}, with(wrong))
        assert.equal(64, result.code, wrong)
        local line = ("^rtlua: script%%.lua:2: %%-D %s: expected [^\n]*\n$"):format(wrong:sub(1, 1))
        assert.truthy(result.stderr:find(line), result.stderr)
        assert.equal("", result.stdout)
      end
    end)

    it("a wrong use of parameters is answered at its line", function()
      local before = mode == "render" and { "render" } or {}
      for code, message in pairs {
        ["rt.params { n = print }"] = "rt%.params: n: expected a number, a string, .*, got a function",
        ["rt.params { 5 }"] = "rt%.params: 1: expected names as keys",
        ["rt.params(5)"] = "rt%.params: expected a table of names and defaults, got 5",
        ["return rt.params { turn = 0 }.tunr"] =
          "rt%.params: there is no parameter 'tunr' %(did you mean 'turn'%?%)",
      } do
        local result = process(HEAD .. code, before)
        assert.equal(65, result.code)
        assert.truthy(result.stderr:find("^rtlua: script%.lua:2: " .. message .. "[^\n]*\n$"), result.stderr)
      end
    end)
  end)
end

describe("table.sort", function()
  it("orders as stock Lua does", function()
    math.randomseed(5)
    local function later(a, b) return a > b end
    local function by_text(a, b) return tostring(a) < tostring(b) end
    for n = 0, 60 do
      for _, less in ipairs { false, later, by_text } do
        local ours = {}
        for i = 1, n do
          local pick = math.random(3)
          ours[i] = pick == 1 and math.random(-50, 50) or pick == 2 and math.random() or math.random(0)
        end
        local stock = table.move(ours, 1, n, 1, {})
        elementary.sort(ours, less or nil)
        table.sort(stock, less or nil)
        assert.same(stock, ours)
      end
      local ours = {}
      for i = 1, n do ours[i] = tostring(math.random(1000)) end
      local stock = table.move(ours, 1, n, 1, {})
      elementary.sort(ours)
      table.sort(stock)
      assert.same(stock, ours)
    end
  end)

  it("leaves equal elements in their order, and all as it was when a comparison fails", function()
    local t = {}
    for i = 1, 100 do t[i] = { key = i % 7, place = i } end
    local copy = table.move(t, 1, #t, 1, {})
    local calls = 0
    assert.has_error(function()
      elementary.sort(t, function(a, b)
        calls = calls + 1
        if calls == 300 then error "enough" end
        return a.key < b.key
      end)
    end)
    for i = 1, 100 do assert.equal(copy[i], t[i]) end
    elementary.sort(t, function(a, b) return a.key < b.key end)
    for i = 2, 100 do
      assert.is_true(t[i - 1].key < t[i].key or t[i - 1].key == t[i].key and t[i - 1].place < t[i].place)
    end
    assert.has_error(function() elementary.sort { 1, "a" } end)
    assert.has_error(function() elementary.sort({ 1, 2 }, 5) end)
  end)
end)

describe("keys in the sandbox", function()
  local function walk(pairs_of, t)
    local keys = {}
    for key, value in pairs_of(t) do
      assert.equal(t[key], value)
      keys[#keys + 1] = key
    end
    return keys
  end
  local function pairs_by_next(t) return ordered.next, t, nil end

  for name, pairs_of in pairs { pairs = ordered.pairs, next = pairs_by_next } do
    it("come as numbers, then strings, then booleans: " .. name, function()
      local only = {}
      local t = {
        b = 1, [true] = 1, [3] = 1, a = 1, [-5] = 1, [0.5] = 1, [1] = 1, [2] = 1, [1 << 40] = 1, [-0.5] = 1,
        [false] = 1, B = 1, [""] = 1, ["a\0"] = 1, [math.huge] = 1, [math.mininteger] = 1, [only] = 1, ["\xFF"] = 1,
      }
      assert.same({
        math.mininteger, -5, 1, 2, 3, 1 << 40, -0.5, 0.5, math.huge, "", "B", "a", "a\0", "b", "\xFF",
        false, true, only,
      }, walk(pairs_of, t))
      assert.same({}, walk(pairs_of, {}))
      assert.same({ 1, 2, 4, 100 }, walk(pairs_of, { 1, 2, nil, 4, [100] = 1 }))
    end)

    it("are all there, once each, in any table: " .. name, function()
      math.randomseed(9)
      for n = 0, 200 do
        local t, count = {}, 0
        for _ = 1, n do
          local key = math.random(4)
          key = key == 1 and math.random(60) or key == 2 and math.random(-9, 9) or key == 3 and math.random()
            or tostring(math.random(99))
          t[key] = math.random(4) > 1 and n or nil
        end
        for _ in next, t do count = count + 1 end
        local keys = walk(pairs_of, t)
        assert.equal(count, #keys)
        for i = 2, #keys do
          local a, b = keys[i - 1], keys[i]
          if math.type(a) == math.type(b) then assert.is_true(a < b) end
        end
      end
    end)

    it("may be set and cleared on the way: " .. name, function()
      local t = {}
      for i = 1, 50 do t[i], t["k" .. i] = i, i end
      local seen = 0
      for key in pairs_of(t) do
        seen = seen + 1
        t[key] = nil
        if key == 10 then t[11], t.k9 = nil, "new" end
        if key == "k1" then t.k10 = nil end
      end
      assert.equal(98, seen)
      assert.is_nil(next(t))
    end)
  end

  it("come from __pairs where there is one, and have no order when they are tables", function()
    local function once(_, key) return not key and "only" or nil end
    local t = setmetatable({}, { __pairs = function(t) return once, t end })
    local keys = {}
    for key in ordered.pairs(t) do keys[#keys + 1] = key end
    assert.same({ "only" }, keys)
    assert.has_error(function() ordered.pairs { [{}] = 1, [print] = 2 } end)
    assert.has_error(function() ordered.next { [{}] = 1, [print] = 2 } end)
  end)

  it("come in that order in a scene", function()
    local text = [[
      local t = { b = 2, a = 1, [true] = 5, [2] = 0, [1] = -1, [0.5] = 0.25 }
      for k, v in pairs(t) do print(k, v) end
      local k, v = next(t) print(k, v, next(t, "b"))
      for k in next, t do print(k) end]]
    assert.equal("1\t-1\n2\t0\n0.5\t0.25\na\t1\nb\t2\ntrue\t5\n1\t-1\ttrue\t5\n1\n2\n0.5\na\nb\ntrue\n",
      printed.render(text))
  end)
end)

describe("the hash of a scene", function()
  local function hash(path, cwd, ...)
    local result = run.rtlua({ "info", "--json", path, ... }, { cwd = cwd })
    assert.equal(0, result.code, result.stderr)
    return cjson.decode(result.stdout).hash
  end

  it("is the same each time, built from pairs, next, random numbers and sorts", function()
    local dir <close> = folder.new()
    dir:write("scene.lua", HEAD .. [[
      local elements, sizes = {}, {}
      for i = 1, 300 do sizes[("ball %d"):format(math.random(1e6))] = 0.1 + math.random() end
      local function add(x, radius)
        local center = { math.sin(x), math.log(2 + x), #elements % 10 }
        elements[#elements + 1] = rt.sphere { center = center, radius = radius }
      end
      for name, radius in pairs(sizes) do add(#name * #elements, radius) end
      for _, radius in next, sizes do add(#elements, radius / 2) end
      local order = {}
      for i = 1, 100 do order[i] = i end
      table.sort(order, function(a, b) return (3 * a + b + #tostring(print)) % 5 < 2 end)
      for i, x in ipairs(order) do add(x, i / 100) end
      elements.camera = rt.camera { from = { 0, 0, 40 }, to = { 0, 0, 0 } }
      return rt.scene(elements)]])
    local first = hash("scene.lua", dir.path)
    for _ = 1, 4 do assert.equal(first, hash("scene.lua", dir.path)) end
  end)

  -- These take seconds, and have nothing that the others have not.
  local slow = { ["terrain.lua"] = true, ["bench_dsphere.lua"] = true }
  for name in lfs.dir "scenes" do
    if name:find "%.lua$" and not slow[name] then
      it("is the same in both modes: " .. name, function()
        assert.equal(hash("scenes/" .. name), hash("scenes/" .. name, nil, "--trust"))
      end)
    end
  end
end)

-- Each prints the same under stock Lua and in both modes.
local STOCK = {
  ["pcall passes arguments and results"] = [[
    print(pcall(function(...) return ... end, 1, nil, 3, nil))
    print(pcall(function() end), pcall(pcall), pcall(pcall, error, "x"), select("#", pcall(print)))
    print(pcall(string.rep), pcall(5))]],
  ["error values arrive as they are"] = [[
    local t = {}
    print(select(2, pcall(error, t)) == t, pcall(error), pcall(error, nil), pcall(error, 5), pcall(error, true))
    print(pcall(error, "level", 0), pcall(function() error "here" end), pcall(function() error("there", 2) end))
    print(pcall(function() local x = nil; return x.y end))
    local function deep(n) if n == 0 then error("bottom", 0) end local _, e = pcall(deep, n - 1) error(e, 0) end
    print(pcall(deep, 100))]],
  ["xpcall calls its handler, where the error is"] = [[
    print(xpcall(function(...) return select("#", ...), ... end, print, 1, 2, nil))
    print(xpcall(error, function(m) return "handled " .. tostring(m), "more" end, "e", 0))
    print(xpcall(function() local x = nil; return x() end, function(m) return m:gsub("%s.*", "") end))
    print(pcall(xpcall), pcall(xpcall, print), pcall(xpcall, print, 5))
    print(xpcall(error, function(m) return m end), xpcall(error, function() return nil end, 5))
    print((xpcall(error, function(m) error(m) end, "again")))
    local function inner() error("inside") end
    print(xpcall(inner, function(m) return m, debug.traceback(m):match "script%.lua:8: in" end))
    xpcall(inner, function(m) print(m, debug.traceback():match "script%.lua:8: in") end)]],
  ["a stack that overflows is caught"] = [[
    local function f() return 1 + f() end
    local ok, message = pcall(f)
    print(ok, (message:match "stack overflow"))
    local function g() return pcall(g) end
    print((select(-1, pcall(g))))
    local function h() local ok, m = pcall(h) if not ok then error(m, 0) end return 1 end
    ok, message = pcall(h)
    print(ok, (tostring(message):match "stack overflow"))]],
  ["coroutines yield across pcall and xpcall"] = [[
    local co = coroutine.create(function(...)
      print("in", ...)
      print(coroutine.yield(1, 2))
      print(pcall(function() error("after " .. coroutine.yield "from pcall", 0) end))
      print(pcall(function() return "ends", coroutine.yield "again" end))
      print(xpcall(function() return coroutine.yield "from xpcall" end, print))
      print(xpcall(function() coroutine.yield "to fail" error("failed", 0) end, function(m) return m .. "!" end))
      print(pcall(pcall, pcall, coroutine.yield, "deep"))
      return "end", nil
    end)
    for i = 1, 9 do print(coroutine.status(co), coroutine.resume(co, i, -i)) end
    print(coroutine.status(co), coroutine.close(co))]],
  ["resume reports what went wrong"] = [[
    print(pcall(coroutine.resume, 5), coroutine.resume(coroutine.running()))
    local co = coroutine.create(function() error({}) end)
    local ok, e = coroutine.resume(co)
    print(ok, type(e), coroutine.status(co), coroutine.resume(co))
    local itself
    itself = coroutine.create(function() return coroutine.resume(itself) end)
    print(coroutine.resume(itself))
    print(coroutine.resume(coroutine.create(function() return coroutine.isyieldable() end)), coroutine.isyieldable())]],
  ["wrap raises, and says where"] = [[
    local f = coroutine.wrap(function(a) error("wrong " .. coroutine.yield(a + 1)) end)
    print(f(1), pcall(f, 2))
    print(pcall(f, 3), pcall(coroutine.wrap, 5))
    local g = coroutine.wrap(function()
      local _ <close> = setmetatable({}, { __close = function(_, e) print("closed", type(e)) error("in close", 0) end })
      error {}
    end)
    print(pcall(g))
    for v in coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end) do print(v) end]],
  ["close closes what is open"] = [[
    local function opened(raise)
      local co = coroutine.create(function()
        local _ <close> = setmetatable({}, { __close = function(_, e)
          print("closing", e)
          if raise then error("no", 0) end
        end })
        coroutine.yield()
      end)
      coroutine.resume(co)
      return co
    end
    for _, raise in ipairs { false, true } do
      local co = opened(raise)
      print(coroutine.close(co))
      print(coroutine.status(co), coroutine.close(co))
    end
    print(coroutine.close(coroutine.create(print)))
    print(pcall(coroutine.close, 5), pcall(coroutine.close, coroutine.running()))
    local outer
    outer = coroutine.create(function()
      return coroutine.resume(coroutine.create(function() return pcall(coroutine.close, outer) end))
    end)
    print(coroutine.resume(outer))]],
  ["__close runs, in order, with the error"] = [[
    local function closing(name)
      return setmetatable({}, { __close = function(_, e)
        print("close", name, e)
        if name == "b" then error("from b", 0) end
      end })
    end
    print(pcall(function() local a <close>, b = closing "a", closing "b" local c <close> = b error("first", 0) end))
    print(pcall(function() local a <close> = closing "a" return "kept" end))]],
}

describe("a stand-in for a stock function does what stock Lua's does:", function()
  for name, text in pairs(STOCK) do
    it(name, function()
      local stock = printed.stock(text)
      assert.is_true(#stock > 20)
      assert.equal(stock, printed.run(text))
      assert.equal(stock, printed.render(text))
    end)
  end
end)
