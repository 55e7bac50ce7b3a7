-- A scene that would run for ever is ended by --time-limit and by signals, within two seconds, wherever it loops.

local folder = require "spec.support.folder"
local run = require "spec.support.run"
local system = require "rtlua.system"

local LOOPS = {
  ["a plain loop"] = "while true do end",
  ["a pcall loop"] = "while true do pcall(error) end",
  ["a loop inside a pcall loop"] = "while true do pcall(function() while true do end end) end",
  ["an xpcall loop"] = "while true do xpcall(function() while true do end end, function() end) end",
  ["a coroutine"] = [[local f = coroutine.wrap(function() while true do coroutine.yield() end end)
    while true do f() end]],
  ["a loop in a coroutine in a pcall loop"] = [[while true do
    pcall(coroutine.wrap(function() while true do end end))
  end]],
  ["string.rep"] = 'while true do pcall(string.rep, "x", 1 << 30) end',
  ["one endless string.rep"] = 'local s = ("x"):rep(1 << 40)',
  ["a pathological string.find"] = 'string.find(("a"):rep(40), (".-"):rep(40) .. "b")',
  ["a pathological string.find in a pcall loop"] = [[while true do
    pcall(string.find, ("a"):rep(40), (".-"):rep(40) .. "b")
  end]],
  ["a sort"] = "local t = {} for i = 1, 1e6 do t[i] = i % 7 end while true do table.sort(t) end",
  ["a closing value"] = "local x <close> = setmetatable({}, { __close = function() while true do end end })",
  ["deep recursion in a pcall loop"] = "local function f() return 1 + f() end while true do pcall(f) end",
}

local function timed(arguments, options)
  local start = system.now()
  local result = run.rtlua(arguments, options)
  result.seconds = system.now() - start
  return result
end

-- What closes a value is left to end by itself in a trusted script: it may be giving back a machine.
local ONLY_SANDBOXED = { ["a closing value"] = true }

for name, loop in pairs(LOOPS) do
  for _, verb in ipairs(ONLY_SANDBOXED[name] and { "render" } or { "render", "run" }) do
    describe(("%s under %s"):format(name, verb), function()
      local function arguments(...)
        if verb == "render" then return { "render", "scene.lua", ... } end
        return { "scene.lua", ... }
      end

      -- One endless string.rep fails at once by itself: there is not so much memory.
      if name ~= "one endless string.rep" then
        it("is ended by --time-limit with 65", function()
          local dir <close> = folder.new()
          dir:write("scene.lua", loop)
          local result = timed(arguments("--time-limit", "1"), { cwd = dir.path })
          assert.equal(65, result.code, result.stderr)
          assert.truthy(result.stderr:find "^rtlua: [^\n]*time limit[^\n]*\n$", result.stderr)
          assert.is_true(result.seconds < 1 + 2 + 0.5, ("took %.1f s"):format(result.seconds))
          assert.same({ "scene.lua" }, dir:list())
        end)
        it("is ended by SIGINT with 130", function()
          local dir <close> = folder.new()
          dir:write("scene.lua", loop)
          local result = timed(arguments(), { cwd = dir.path, signal = "INT", after = 0.5 })
          assert.equal(130, result.code, result.stderr)
          assert.is_true(result.seconds < 1 + 2 + 0.5, ("took %.1f s"):format(result.seconds))
        end)
      else
        it("is answered with 65", function()
          local dir <close> = folder.new()
          dir:write("scene.lua", loop)
          assert.equal(65, timed(arguments("--time-limit", "5"), { cwd = dir.path }).code)
        end)
      end
    end)
  end
end

describe("a render", function()
  for signal, code in pairs { INT = 130, TERM = 143, HUP = 129 } do
    it(("that gets SIG%s writes the partial picture and exits %d within a second"):format(signal, code), function()
      local dir <close> = folder.new()
      local started = system.now()
      local result = run.rtlua(
        { "scenes/cornell.lua", "--spp", "100000", "-o", dir.path .. "/a.png", "--quiet" },
        { signal = signal, after = 1 }
      )
      assert.equal(code, result.code, result.stderr)
      assert.is_true(system.now() - started < 2 + 1.5)
      assert.equal("\137PNG", dir:read("a.png"):sub(1, 4))
      assert.same({ "a.png" }, dir:list())
    end)
  end

  it("that reaches --time-limit writes the best picture and exits 0", function()
    local dir <close> = folder.new()
    local result =
      timed { "scenes/cornell.lua", "--spp", "100000", "-o", dir.path .. "/a.png", "--quiet", "--time-limit", "2" }
    assert.equal(0, result.code, result.stderr)
    assert.is_true(result.seconds < 4)
    assert.equal("\137PNG", dir:read("a.png"):sub(1, 4))
  end)
end)

describe("an entry of the repl", function()
  local function repl(signal)
    local dir <close> = folder.new()
    return timed({ "repl" }, {
      cwd = dir.path, env = { RTLUA_STATE = dir.path }, signal = signal, after = 0.5,
      stdin = "while true do pcall(function() while true do end end) end\nprint(7)\n",
    })
  end

  -- TSan holds signals back from code that makes no system calls, so that there the watchdog ends the process, with the
  -- signal's code and a line of its own.
  local held_back = os.getenv "RTLUA_SPEC_TSAN"

  it("is interrupted by SIGINT, which keeps the prompt", function()
    local result = repl "INT"
    if held_back and result.code == 130 then return end
    assert.same({ 0, "7\n", "interrupted\n" }, { result.code, result.stdout, result.stderr })
  end)
  it("is ended by SIGTERM with 143, and the repl with it", function()
    local result = repl "TERM"
    if held_back then result.stderr = result.stderr:gsub("^rtlua: repl: stopped by SIGTERM\n$", "") end
    assert.same({ 143, "", "" }, { result.code, result.stdout, result.stderr })
    assert.is_true(result.seconds < 1 + 2 + 0.5)
  end)
end)
